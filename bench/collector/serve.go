package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/verdict-bench/verdict/internal/chaintest"
)

// serveTruth answers each request after the number of nanoseconds that its
// body names, and then prints how long it really took: from the read that
// returned the request's first byte to the return of the write that handed the
// answer's last byte to the kernel.
func serveTruth(ctx context.Context, out io.Writer, size int) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	fmt.Fprintf(out, "http://%s\n", listener.Addr())
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", size)
	answer = append(answer, bytes.Repeat([]byte("x"), size)...)
	for {
		// One connection at a time: there is one meter.
		conn, err := listener.Accept()
		if err != nil {
			return nil
		}
		if err := truthConn(conn, out, answer); err != nil && err != io.EOF {
			return err
		}
	}
}

// firstRead notes when a read returned after a reset.
type firstRead struct {
	net.Conn
	at time.Time
}

func (f *firstRead) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if f.at.IsZero() {
		f.at = time.Now()
	}
	return n, err
}

func truthConn(raw net.Conn, out io.Writer, answer []byte) error {
	defer raw.Close()
	conn := &firstRead{Conn: raw}
	in := bufio.NewReader(conn)
	for {
		conn.at = time.Time{}
		r, err := http.ReadRequest(in)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		wait, err := strconv.ParseInt(string(body), 10, 64)
		if err != nil {
			return err
		}
		waitUntil(conn.at.Add(time.Duration(wait)))
		if _, err := conn.Write(answer); err != nil {
			return err
		}
		fmt.Fprintln(out, int64(time.Since(conn.at)))
	}
}

// waitUntil sleeps for most of the time and spins at the end, because a sleep
// alone is late by up to a millisecond.
func waitUntil(end time.Time) {
	const spin = 2 * time.Millisecond
	time.Sleep(time.Until(end) - spin)
	for time.Now().Before(end) {
	}
}

// serveLarge serves a chain of two blocks, with witnesses of size bytes that
// are made before the first request.
func serveLarge(ctx context.Context, out io.Writer, size int) error {
	node, err := chaintest.Start(1)
	if err != nil {
		return err
	}
	defer node.Stop()
	node.SetSize(size)
	res, err := http.Post(node.URL(), "application/json",
		bytes.NewReader([]byte(`{"id":1,"method":"debug_executionWitness","params":["0x1"]}`)))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err := res.Body.Close(); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(out, node.URL())
	<-ctx.Done()
	return nil
}
