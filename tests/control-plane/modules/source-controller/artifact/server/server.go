// Package server hands artifacts out over HTTP.
package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/fluxcd/pkg/artifact/config"
)

// Start serves the files of the storage folder until the context ends.
func Start(ctx context.Context, options *config.Options) error {
	server := &http.Server{
		Addr:              options.StorageAddress,
		Handler:           http.FileServer(http.Dir(options.StoragePath)),
		ReadHeaderTimeout: 10 * time.Second,
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
