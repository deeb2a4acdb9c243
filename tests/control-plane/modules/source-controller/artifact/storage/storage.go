// Package storage keeps artifacts as files: KIND/NAMESPACE/NAME/FILE under one folder, which is also the path
// of their URL.
package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/artifact/config"
	"github.com/fluxcd/pkg/artifact/digest"
	"github.com/fluxcd/pkg/sourceignore"
	"github.com/fluxcd/pkg/sourceignore/gitignore"
	"github.com/fluxcd/pkg/tar"
	godigest "github.com/opencontainers/go-digest"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Storage is the folder with its settings.
type Storage struct {
	BasePath  string
	Hostname  string
	retention time.Duration
	records   int
	locks     sync.Map
}

// ArchiveFileFilter tells which files are left out of an archive.
type ArchiveFileFilter func(path string, info os.FileInfo) bool

// New returns the storage in an existing folder.
func New(options *config.Options) (*Storage, error) {
	base, err := filepath.Abs(options.StoragePath)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(base); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("not a folder: %q", options.StoragePath)
	}
	hostname := options.StorageAdvAddress
	if hostname == "" {
		hostname = options.StorageAddress
	}
	return &Storage{
		BasePath:  base,
		Hostname:  hostname,
		retention: options.ArtifactRetentionTTL,
		records:   options.ArtifactRetentionRecords,
	}, nil
}

// SourceIgnoreFilter leaves out what belongs to Git and what the patterns match; without any, what Flux leaves out
// where nothing is said.
func SourceIgnoreFilter(patterns []gitignore.Pattern, domain []string) ArchiveFileFilter {
	matcher := sourceignore.NewDefaultMatcher(nil, domain)
	if len(patterns) > 0 {
		matcher = sourceignore.NewMatcher(append(sourceignore.VCSPatterns(domain), patterns...))
	}
	return func(path string, info os.FileInfo) bool {
		return matcher.Match(strings.Split(path, string(filepath.Separator)), info.IsDir())
	}
}

// NewArtifactFor describes an artifact that need not exist yet.
func (s *Storage) NewArtifactFor(kind string, object metav1.Object, revision, file string) meta.Artifact {
	artifact := meta.Artifact{
		Path:     path.Join(strings.ToLower(kind), object.GetNamespace(), object.GetName(), file),
		Revision: revision,
	}
	s.SetArtifactURL(&artifact)
	return artifact
}

// SetArtifactURL points the artifact's URL at this storage.
func (s *Storage) SetArtifactURL(artifact *meta.Artifact) {
	if artifact.Path == "" {
		return
	}
	host := s.Hostname
	if !strings.Contains(host, "://") {
		host = "http://" + host
	}
	artifact.URL = strings.TrimRight(host, "/") + "/" + strings.TrimLeft(artifact.Path, "/")
}

// SetHostname returns the URL with this storage's host in it.
func (s *Storage) SetHostname(text string) string {
	parsed, err := url.Parse(text)
	if err != nil {
		return ""
	}
	parsed.Host = s.Hostname
	return parsed.String()
}

// LocalPath returns where the artifact's file is, or nothing if that would not be inside of the folder.
func (s *Storage) LocalPath(artifact meta.Artifact) string {
	if artifact.Path == "" || !filepath.IsLocal(artifact.Path) {
		return ""
	}
	return filepath.Join(s.BasePath, artifact.Path)
}

// MkdirAll makes the folder that the artifact's file goes to.
func (s *Storage) MkdirAll(artifact meta.Artifact) error {
	return os.MkdirAll(filepath.Dir(s.LocalPath(artifact)), 0o750)
}

// Remove deletes the artifact's file.
func (s *Storage) Remove(artifact meta.Artifact) error {
	return os.Remove(s.LocalPath(artifact))
}

// RemoveAll deletes the folder that the artifact is in, and names it if there was one.
func (s *Storage) RemoveAll(artifact meta.Artifact) (string, error) {
	dir := filepath.Dir(s.LocalPath(artifact))
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return dir, os.RemoveAll(dir)
}

// GarbageCollect deletes the files beside the artifact that are beyond the number to keep and older than the
// retention, and returns their paths.
func (s *Storage) GarbageCollect(ctx context.Context, artifact meta.Artifact, timeout time.Duration) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	current := s.LocalPath(artifact)
	old, err := othersNewestFirst(current)
	if err != nil || len(old) < s.records {
		return nil, err
	}
	var deleted []string
	// The current one counts as one of those that stay.
	for _, file := range old[max(s.records-1, 0):] {
		if time.Since(file.ModTime()) < s.retention {
			continue
		}
		if err := ctx.Err(); err != nil {
			return deleted, err
		}
		name := filepath.Join(filepath.Dir(current), file.Name())
		if err := os.Remove(name); err != nil {
			return deleted, err
		}
		deleted = append(deleted, name)
	}
	return deleted, nil
}

func othersNewestFirst(current string) ([]os.FileInfo, error) {
	entries, err := os.ReadDir(filepath.Dir(current))
	if err != nil {
		return nil, err
	}
	var files []os.FileInfo
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && info.Mode().IsRegular() && entry.Name() != filepath.Base(current) {
			files = append(files, info)
		}
	}
	sort.Slice(files, func(i, j int) bool { return files[i].ModTime().After(files[j].ModTime()) })
	return files, nil
}

// ArtifactExist tells whether the artifact's file is there.
func (s *Storage) ArtifactExist(artifact meta.Artifact) bool {
	info, err := os.Lstat(s.LocalPath(artifact))
	return err == nil && info.Mode().IsRegular()
}

// VerifyArtifact compares the file's digest with the one in the artifact.
func (s *Storage) VerifyArtifact(artifact meta.Artifact) error {
	want, err := godigest.Parse(artifact.Digest)
	if err != nil {
		return fmt.Errorf("digest of the artifact: %w", err)
	}
	file, err := os.Open(s.LocalPath(artifact))
	if err != nil {
		return err
	}
	defer file.Close()
	verifier := want.Verifier()
	if _, err := io.Copy(verifier, file); err != nil {
		return err
	}
	if !verifier.Verified() {
		return fmt.Errorf("the file is not the one with digest %s", want)
	}
	return nil
}

// Archive packs the folder into the artifact's file, without what the filter leaves out.
func (s *Storage) Archive(artifact *meta.Artifact, dir string, filter ArchiveFileFilter) error {
	return s.store(artifact, 0o600, func(w io.Writer) error {
		var options []tar.Option
		if filter != nil {
			options = append(options, tar.WithFilter(filter))
		}
		_, err := tar.Tar(dir, w, options...)
		return err
	})
}

// AtomicWriteFile writes the reader's bytes to the artifact's file, all or none of them.
func (s *Storage) AtomicWriteFile(artifact *meta.Artifact, reader io.Reader, mode os.FileMode) error {
	return s.store(artifact, mode, func(w io.Writer) error {
		_, err := io.Copy(w, reader)
		return err
	})
}

// Copy is AtomicWriteFile with the usual mode.
func (s *Storage) Copy(artifact *meta.Artifact, reader io.Reader) error {
	return s.AtomicWriteFile(artifact, reader, 0o600)
}

// CopyFromPath makes a file the artifact's.
func (s *Storage) CopyFromPath(artifact *meta.Artifact, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return s.Copy(artifact, file)
}

// CopyToPath unpacks the artifact and puts one folder or file of it at a place where nothing is yet.
func (s *Storage) CopyToPath(artifact *meta.Artifact, sub, to string) error {
	scratch, err := os.MkdirTemp("", "artifact-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	file, err := os.Open(s.LocalPath(*artifact))
	if err != nil {
		return err
	}
	defer file.Close()
	if err := tar.Untar(file, scratch, tar.WithMaxUntarSize(-1)); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return err
	}
	return os.Rename(filepath.Join(scratch, filepath.Clean("/"+sub)), to)
}

// Symlink makes or moves a link beside the artifact that leads to it, and returns the link's URL.
func (s *Storage) Symlink(artifact meta.Artifact, name string) (string, error) {
	local := s.LocalPath(artifact)
	fresh := filepath.Join(filepath.Dir(local), "."+name+".new")
	_ = os.Remove(fresh)
	if err := os.Symlink(filepath.Base(local), fresh); err != nil {
		return "", err
	}
	if err := os.Rename(fresh, filepath.Join(filepath.Dir(local), name)); err != nil {
		return "", err
	}
	link := meta.Artifact{Path: path.Join(path.Dir(artifact.Path), name)}
	s.SetArtifactURL(&link)
	return link.URL, nil
}

// Lock waits until nobody else works on the artifact; the caller must call what it returns.
func (s *Storage) Lock(artifact meta.Artifact) (func(), error) {
	lock, _ := s.locks.LoadOrStore(artifact.Path, &sync.Mutex{})
	mutex := lock.(*sync.Mutex)
	mutex.Lock()
	return mutex.Unlock, nil
}

// store writes the file beside its place, moves it there and records digest, size and time in the artifact.
func (s *Storage) store(artifact *meta.Artifact, mode os.FileMode, write func(io.Writer) error) error {
	local := s.LocalPath(*artifact)
	file, err := os.CreateTemp(filepath.Dir(local), ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	digester := digest.Canonical.Digester()
	size := &counter{}
	if err := write(io.MultiWriter(file, digester.Hash(), size)); err != nil {
		return err
	}
	if err := errors.Join(file.Chmod(mode), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), local); err != nil {
		return err
	}
	artifact.Digest = digester.Digest().String()
	artifact.LastUpdateTime = metav1.Now()
	artifact.Size = &size.bytes
	return nil
}

type counter struct{ bytes int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.bytes += int64(len(p))
	return len(p), nil
}
