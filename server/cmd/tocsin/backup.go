package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"tocsin/server/client"
	"tocsin/server/natslog"
)

func newBackup() *cobra.Command {
	var o remote
	var last bool
	cmd := &cobra.Command{
		Use:     "backup FILE",
		Short:   "Back up everything that is stored, while it is served",
		GroupID: groupServer,
		Long: `Has a node write a backup, checks it and puts it into FILE, which must not be
there yet: the log, what has been read, tickets, revocations, and the other small
things beside it. Serving goes on meanwhile. Needs the scope admin. Any node of a
cluster will do.

With --last nothing can be stored in that log any more: publishers get 503 and send
again with the same ids, readers go on. It is for moving the log, to more machines
or to fewer: whatever was answered is in the backup. There is no way back but
'tocsin restore'.

A backup holds everybody's inboxes: keep it like the data directory.`,
		Example: "  tocsin backup tocsin-2026-11-21.zip\n  tocsin backup --last move.zip",
		Args:    nargs(1, 1, "a file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			m, err := takeBackup(cmd.Context(), c, args[0], last)
			if err != nil {
				return explainAdmin(err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d entries up to %d, and %d streams beside them\n",
				m.Log().Messages, m.Log().LastSeq, len(m.Streams)-1)
			return err
		},
	}
	o.registerAdmin(cmd)
	cmd.Flags().BoolVar(&last, "last", false, "nothing is to be stored afterwards: the log moves elsewhere")
	return cmd
}

// takeBackup fetches a backup. The file has its name only when it is whole.
func takeBackup(ctx context.Context, c *client.Client, path string, last bool) (m natslog.Manifest, err error) {
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return m, errors.Join(fmt.Errorf("%s is there already", path), err)
	}
	f, err := os.OpenFile(path+".part", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return m, err
	}
	defer func() {
		_ = f.Close()
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := c.Backup(ctx, f, last); err != nil {
		return m, err
	}
	b, err := checkBackup(f)
	if err != nil {
		return m, err
	}
	if err := f.Sync(); err != nil {
		return m, err
	}
	// Link fails where the name has been taken meanwhile; a rename would not.
	if err := os.Link(f.Name(), path); err != nil {
		return m, err
	}
	return b.Manifest, errors.Join(os.Remove(f.Name()), syncDir(filepath.Dir(path)))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}

func checkBackup(f *os.File) (*natslog.Backup, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	return natslog.OpenBackup(f, size)
}

func newRestore() *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:     "restore FILE",
		Short:   "Fill an empty log with a backup",
		GroupID: groupServer,
		Long: `Checks the backup and fills an empty log with it, then ends. Where the log is and
how it is kept it reads as serve does, from flags, variables and file: give it the
configuration of the node that will serve.

A log of one node must not have its data directory yet, or an empty one. In a
cluster run it at one node first, then 'tocsin serve' at the others, whose data
directories are empty too: they wait for it. It ends when all nodes have everything;
then start serve here as well. Everything a cluster stores may come from one node
and go back to one: docs/cluster.md.

Clients go on with their cursors. One who had seen more than the backup has is told
so by a gap.`,
		Example: "  tocsin restore tocsin-2026-11-21.zip --data data/log\n  tocsin restore move.zip --config /etc/tocsin.yml",
		Args:    nargs(1, 1, "a file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			conf, err := flags.loadLog(os.Environ())
			if err != nil {
				return &usageError{command: cmd.CommandPath(), err: err}
			}
			m, err := restore(cmd.Context(), &conf.settings, args[0], newLogger(conf.settings, cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d entries up to %d, of %s, and %d streams beside them\n",
				m.Log().Messages, m.Log().LastSeq, m.Made.Format(time.RFC3339), len(m.Streams)-1)
			return err
		},
	}
	flags.register(cmd)
	return cmd
}

func restore(ctx context.Context, conf *settings, path string, logger *slog.Logger) (m natslog.Manifest, err error) {
	f, err := os.Open(path)
	if err != nil {
		return m, err
	}
	defer func() { _ = f.Close() }()
	b, err := checkBackup(f)
	if err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	o, err := conf.logOptions(logger)
	if err != nil {
		return m, err
	}
	return b.Manifest, natslog.Restore(ctx, o, b)
}

// backup writes everything that is stored.
func (n *node) backup(ctx context.Context, w io.Writer, last bool) error {
	m, err := n.store.Backup(ctx, w, natslog.BackupOptions{Last: last, Version: version})
	if err == nil {
		n.logger.Info("a backup was made", "entries", m.Log().Messages, "upto", m.Log().LastSeq, "last", last)
	}
	return err
}
