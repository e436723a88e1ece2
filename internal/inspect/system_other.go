//go:build !linux

package inspect

import (
	"errors"
	"io/fs"

	"github.com/verdict-bench/verdict/internal/doctor"
)

func clock() doctor.Clock { return doctor.Clock{Problem: notHere()} }

func room(string) (free, total int64, err error) { return 0, 0, errors.New(notHere()) }

func owner(fs.FileInfo) int { return -1 }

func allocated(info fs.FileInfo) int64 { return info.Size() }
