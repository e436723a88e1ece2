package cli

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/spf13/cobra"

	"github.com/verdict-bench/verdict/internal/fault"
	"github.com/verdict-bench/verdict/internal/genesis"
	"github.com/verdict-bench/verdict/internal/l1"
	"github.com/verdict-bench/verdict/internal/load"
	"github.com/verdict-bench/verdict/internal/tracelog"
)

// deployOptions are the flags of verdict devnet l1 deploy.
type deployOptions struct {
	url                        string
	privateKey                 string
	l1Genesis, l2Genesis       string
	proposerOwner, bridgeOwner string
	proposerKey, bridgeKey     string
	committer, proofSender     string
	depositRich                bool
	keys                       string
	envFile                    string
	randomize                  bool
	// verifiers are the types of proof that the built-in contracts cannot
	// verify, each true or false.
	sp1, risc0, tdx, aligned string
}

// deployVariables are the environment variables of the flags, those of ethrex.
func deployVariables() map[string]string {
	return map[string]string{
		"eth-rpc-url":                   "ETHREX_ETH_RPC_URL",
		"private-key":                   "ETHREX_DEPLOYER_L1_PRIVATE_KEY",
		"genesis-l1-path":               "ETHREX_DEPLOYER_GENESIS_L1_PATH",
		"genesis-l2-path":               "ETHREX_DEPLOYER_GENESIS_L2_PATH",
		"on-chain-proposer-owner":       "ETHREX_ON_CHAIN_PROPOSER_OWNER",
		"bridge-owner":                  "ETHREX_BRIDGE_OWNER",
		"on-chain-proposer-owner-pk":    "ETHREX_ON_CHAIN_PROPOSER_OWNER_PK",
		"bridge-owner-pk":               "ETHREX_BRIDGE_OWNER_PK",
		"deposit-rich":                  "ETHREX_DEPLOYER_DEPLOY_RICH",
		"private-keys-file-path":        "ETHREX_DEPLOYER_PRIVATE_KEYS_FILE_PATH",
		"env-file-path":                 "ETHREX_DEPLOYER_ENV_FILE_PATH",
		"committer.l1-address":          "ETHREX_DEPLOYER_COMMITTER_L1_ADDRESS",
		"proof-sender.l1-address":       "ETHREX_DEPLOYER_PROOF_SENDER_L1_ADDRESS",
		"randomize-contract-deployment": "ETHREX_DEPLOYER_RANDOMIZE_CONTRACT_DEPLOYMENT",
		"sp1":                           "ETHREX_L2_SP1",
		"risc0":                         "ETHREX_L2_RISC0",
		"tdx":                           "ETHREX_L2_TDX",
		"aligned":                       "ETHREX_L2_ALIGNED",
	}
}

// newDevnetL1Deploy is the command verdict devnet l1 deploy.
func newDevnetL1Deploy(w World) *cobra.Command {
	var o deployOptions
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Deploy the rollup's contracts and deposit ether",
		Long: `Deploy puts the contracts of the built-in rollup onto an L1: the OnChainProposer,
which batches are committed to and verified by, and the CommonBridge, which takes
deposits. With --deposit-rich each account in the key file, and the rich account
of the fixtures, deposits half of what it has on the L1. When all of it is in
blocks, and not before, the env file is written, with ` + l1.EnvProposer + `
and ` + l1.EnvBridge + `. After an error an older file is
still there as it was.

The flags, and the environment variables that stand in for them, are those of
ethrex's deployer. Give private keys in the environment. Each deployment on one L1
is at other addresses, with --randomize-contract-deployment and without; the
first on an L1 that was started anew is where the first on the old one was. Batches
need proofs of the type Exec; the contracts verify no other.

Exit status: 0 deployed, 1 a transaction failed, 2 bad usage, 4 the L1 cannot be
reached, is another one than the genesis file says, or an account has nothing or
has transactions pending there.`,
		Example: `  export ETHREX_DEPLOYER_L1_PRIVATE_KEY=0x385c546456b6a603a1cfcaa9ec9494ba4832da08dd6bcf4de9a71e4a01b74924
  verdict devnet l1 deploy --eth-rpc-url http://127.0.0.1:8545 \
    --genesis-l1-path fixtures/genesis/l1.json --genesis-l2-path fixtures/genesis/l2.json \
    --deposit-rich --private-keys-file-path fixtures/keys/private_keys_l1.txt \
    --env-file-path rollup.env`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(w, cmd, deployVariables()); err != nil {
				return err
			}
			return runDevnetL1Deploy(cmd.Context(), w, o)
		},
	}
	o.flags(cmd)
	return cmd
}

// flags declares the flags.
func (o *deployOptions) flags(cmd *cobra.Command) {
	_, owner := genesis.ContractOwner.Account()
	_, committer := genesis.Deployer.Account()
	_, proofSender := genesis.ProofSender.Account()
	f := cmd.Flags()
	f.StringVar(&o.url, "eth-rpc-url", "", "`URL` of the L1's JSON-RPC")
	f.StringVar(&o.privateKey, "private-key", "", "`key` of the account that pays for the contracts; better in the environment")
	f.StringVar(&o.l1Genesis, "genesis-l1-path", "", "`file` with the genesis of the L1, which must be that of the L1 at the URL")
	f.StringVar(&o.l2Genesis, "genesis-l2-path", "", "`file` with the genesis of the rollup")
	f.StringVar(&o.proposerOwner, "on-chain-proposer-owner", owner.Hex(), "`address` that may appoint others to commit and verify")
	f.StringVar(&o.bridgeOwner, "bridge-owner", owner.Hex(), "`address` that may close the bridge")
	f.StringVar(&o.proposerKey, "on-chain-proposer-owner-pk", "", "`key` of that owner, to make sure that somebody has it")
	f.StringVar(&o.bridgeKey, "bridge-owner-pk", "", "`key` of that owner, to make sure that somebody has it")
	f.StringVar(&o.committer, "committer.l1-address", committer.Hex(), "`address` that commits batches")
	f.StringVar(&o.proofSender, "proof-sender.l1-address", proofSender.Hex(), "`address` that verifies batches")
	f.BoolVar(&o.depositRich, "deposit-rich", false, "deposit half of what the accounts have")
	f.StringVar(&o.keys, "private-keys-file-path", "", "`file` with the keys of these accounts, one a line")
	f.StringVar(&o.envFile, "env-file-path", "", "write the addresses to this `file`")
	f.BoolVar(&o.randomize, "randomize-contract-deployment", false, "accepted: no two deployments on one L1 have the same addresses anyway")
	for _, v := range o.verifiers() {
		f.StringVar(v.value, v.flag, "false", "verify proofs of "+v.name+": must be `false`, no such verifier is built in")
	}
}

// verifier is the flag of a type of proof.
type verifier struct {
	flag, name string
	value      *string
}

func (o *deployOptions) verifiers() []verifier {
	return []verifier{
		{"sp1", "SP1", &o.sp1}, {"risc0", "RISC0", &o.risc0}, {"tdx", "TDX", &o.tdx}, {"aligned", "Aligned", &o.aligned},
	}
}

func runDevnetL1Deploy(ctx context.Context, w World, o deployOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	options, err := o.resolve(tracelog.New(w.Stdout, slog.LevelInfo, "deployer"))
	if err != nil {
		return err
	}
	client, err := l1.Dial(o.url)
	if err != nil {
		return fault.Newf(fault.Usage, "--eth-rpc-url: %w", err)
	}
	defer client.Close()
	deployed, err := client.Deploy(ctx, options)
	if err != nil {
		return err
	}
	fmt.Fprintf(w.Stderr, "deployed: OnChainProposer %s, CommonBridge %s, %d deposits of %d wei in all; addresses in %s\n",
		deployed.Proposer, deployed.Bridge, len(options.Deposits), deployed.Wei, o.envFile)
	return nil
}

// check finds flags that are missing, all of them, and verifiers that there
// are none of.
func (o *deployOptions) check() error {
	const help = "verdict devnet l1 deploy --help"
	for _, v := range o.verifiers() {
		switch *v.value {
		case "false":
		case "true":
			return fault.Newf(fault.Usage, "--%s true: the built-in contracts have no verifier for proofs of %s, only for those of the exec prover", v.flag, v.name).
				Hint("leave --%s out, and run the prover with --backend exec", v.flag)
		default:
			return fault.Newf(fault.Usage, "--%s %q: want true or false", v.flag, *v.value)
		}
	}
	needed := map[string]string{
		"eth-rpc-url": o.url, "private-key": o.privateKey, "genesis-l2-path": o.l2Genesis, "env-file-path": o.envFile,
	}
	if o.depositRich {
		needed["genesis-l1-path"], needed["private-keys-file-path"] = o.l1Genesis, o.keys
	}
	var missing []string
	for flag, value := range needed {
		if value == "" {
			missing = append(missing, fmt.Sprintf("--%s (%s)", flag, deployVariables()[flag]))
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fault.Newf(fault.Usage, "missing: %s", strings.Join(missing, ", ")).Hint(help)
	}
	return nil
}

// resolve reads keys, addresses and files.
func (o *deployOptions) resolve(log *slog.Logger) (l1.DeployOptions, error) {
	out := l1.DeployOptions{EnvFile: o.envFile, Log: log}
	var err error
	if out.Deployer, err = load.ParseKey(o.privateKey); err != nil {
		return out, fault.Newf(fault.Usage, "--private-key: %w", err)
	}
	if err := o.addresses(&out); err != nil {
		return out, err
	}
	l2, err := genesis.Read(o.l2Genesis)
	if err != nil {
		return out, err
	}
	out.GenesisRoot = l2.ToBlock().Root()
	var alloc types.GenesisAlloc
	if o.l1Genesis != "" {
		l1, err := genesis.Read(o.l1Genesis)
		if err != nil {
			return out, err
		}
		out.L1Genesis, alloc = l1.ToBlock().Hash(), l1.Alloc
	}
	if o.depositRich {
		out.Deposits, err = o.depositors(alloc)
	}
	return out, err
}

// addresses reads the addresses, and makes sure that the keys of owners are
// those of the owners.
func (o *deployOptions) addresses(out *l1.DeployOptions) error {
	for _, a := range []struct {
		flag, text string
		address    *common.Address
		key        string
	}{
		{"on-chain-proposer-owner", o.proposerOwner, &out.ProposerOwner, o.proposerKey},
		{"bridge-owner", o.bridgeOwner, &out.BridgeOwner, o.bridgeKey},
		{"committer.l1-address", o.committer, &out.Committer, ""},
		{"proof-sender.l1-address", o.proofSender, &out.ProofSender, ""},
	} {
		raw, err := hexutil.Decode(a.text)
		if err != nil || len(raw) != common.AddressLength {
			return fault.Newf(fault.Usage, "--%s %q: want an address, 0x and 40 hex digits", a.flag, a.text)
		}
		*a.address = common.Address(raw)
		if a.key == "" {
			continue
		}
		account, err := load.ParseKey(a.key)
		if err != nil {
			return fault.Newf(fault.Usage, "--%s-pk: %w", a.flag, err)
		}
		if account.Address != *a.address {
			return fault.Newf(fault.Usage, "--%s-pk is the key of %s, and --%s is %s", a.flag, account.Address, a.flag, a.address)
		}
	}
	return nil
}

// depositors are the accounts of the key file and, if the L1's genesis has it,
// the rich account, which deploys the contracts of a load on the L2.
func (o *deployOptions) depositors(alloc types.GenesisAlloc) ([]load.Account, error) {
	accounts, err := readKeyFile(o.keys)
	if err != nil {
		return nil, err
	}
	key, address := genesis.Rich.Account()
	_, known := alloc[address]
	listed := slices.ContainsFunc(accounts, func(a load.Account) bool { return a.Address == address })
	if known && !listed {
		accounts = append(accounts, load.AccountOf(key))
	}
	return accounts, nil
}
