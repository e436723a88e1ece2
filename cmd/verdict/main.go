// Command verdict answers with evidence: does this change make execution
// witnesses, or proofs, faster?
package main

import (
	"context"
	"os"

	"github.com/verdict-bench/verdict/internal/cli"
)

func main() { os.Exit(cli.Main(context.Background(), cli.OS())) }
