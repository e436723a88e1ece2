package warm
import (
_ "github.com/ethereum/go-ethereum/eth/catalyst"
_ "github.com/ethereum/go-ethereum/node"
_ "github.com/ethereum/go-ethereum/core"
_ "github.com/rogpeppe/go-internal/testscript"
_ "gonum.org/v1/gonum/stat/distuv"
_ "github.com/goccy/go-yaml"
)
