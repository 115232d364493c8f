// The programs of a four-node BFT network for tests (make test-bft). Kaia is GPL-3.0: built here, never shipped.
module mapae.example/bft

go 1.23.7

require github.com/kaiachain/kaia v1.0.3

// Kaia's own choice, v0.3.11, does not compile with Go 1.24 and newer.
require github.com/supranational/blst v0.3.14
