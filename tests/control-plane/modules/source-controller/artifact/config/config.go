// Package config holds source-controller's flags for artifacts.
package config

import (
	"time"

	"github.com/spf13/pflag"
)

// Options say where artifacts are kept, under which address they are served and how long old ones stay.
type Options struct {
	StoragePath              string
	StorageAddress           string
	StorageAdvAddress        string
	ArtifactRetentionTTL     time.Duration
	ArtifactRetentionRecords int
	ArtifactDigestAlgo       string
}

// BindFlags registers the flags, which have the names and defaults that Flux documents for source-controller.
func (o *Options) BindFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.StoragePath, "storage-path", "", "folder in which artifacts are kept")
	flags.StringVar(&o.StorageAddress, "storage-addr", ":9090", "address at which artifacts are served")
	flags.StringVar(&o.StorageAdvAddress, "storage-adv-addr", "", "address that clients are told to fetch artifacts from")
	flags.DurationVar(&o.ArtifactRetentionTTL, "artifact-retention-ttl", time.Minute, "how long an old artifact is kept at least")
	flags.IntVar(&o.ArtifactRetentionRecords, "artifact-retention-records", 2, "how many artifacts of an object are kept at least")
	flags.StringVar(&o.ArtifactDigestAlgo, "artifact-digest-algo", "sha256", "algorithm of an artifact's digest")
}
