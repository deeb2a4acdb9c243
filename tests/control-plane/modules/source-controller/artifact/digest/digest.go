// Package digest names the algorithm by which artifacts are identified.
package digest

import (
	// Makes the algorithms available that the registry of go-digest names.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"fmt"

	godigest "github.com/opencontainers/go-digest"
)

// Canonical is the algorithm in use; the program sets it once, before it begins to work.
var Canonical = godigest.SHA256

// AlgorithmForName returns the algorithm of that name, or an error where there is none.
func AlgorithmForName(name string) (godigest.Algorithm, error) {
	algorithm := godigest.Algorithm(name)
	if !algorithm.Available() {
		return "", fmt.Errorf("no digest algorithm is called %q", name)
	}
	return algorithm, nil
}
