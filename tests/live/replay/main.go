// Command replay runs real Prometheus rule groups over simulated time, with the
// rule engine and the TSDB of the Prometheus server. See README.md.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Exit codes: 1 for a rule or a query that failed (the output is complete),
// 2 for a scenario that could not be run (there is no output).
func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: replay SCENARIO.json")
		os.Exit(2)
	}
	// A signal ends the run in order, so that the temporary TSDB is removed.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	// A rule over a month allocates megabytes at each evaluation, and the heap is
	// small: with the default much of the time would go to garbage collection.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	progress := func(float64) {}
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		progress = func(done float64) { fmt.Fprintf(os.Stderr, "\r%3.0f%%\r", 100*done) }
	}
	out, failure, err := replay(ctx, os.Args[1], progress)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(2)
	}
	if failure != nil {
		fmt.Fprintln(os.Stderr, "replay: first failure:", failure)
		os.Exit(1)
	}
}
