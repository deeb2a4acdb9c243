module local/flux

go 1.26.0

// Built from its own go.mod, which is why nothing that it requires stands here.
require github.com/fluxcd/flux2/v2 v2.9.5
