package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
)

// unixTime is a millisecond timestamp (what the TSDB stores) that JSON writes
// as unix seconds.
type unixTime int64

func (t *unixTime) UnmarshalJSON(b []byte) error {
	var seconds float64
	if err := json.Unmarshal(b, &seconds); err != nil {
		return err
	}
	*t = unixTime(math.Round(seconds * 1000))
	return nil
}

func (t unixTime) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(t)/1000, 'f', -1, 64), nil
}

// number is a sample value; JSON has no NaN and no infinities, so these are
// written as strings, spelled as the Prometheus API spells them.
type number float64

// missing marks an instant without a scrape of the series. Like the staleness
// marker it is a NaN with bits of its own, so that an ordinary NaN stays a value.
var missing = math.Float64frombits(0x7ff0000000000003)

func (n *number) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "null":
		*n = number(missing)
		return nil
	case `"stale"`:
		*n = number(math.Float64frombits(value.StaleNaN))
		return nil
	}
	f, err := strconv.ParseFloat(string(bytes.Trim(b, `"`)), 64)
	if err != nil {
		return err
	}
	if math.IsNaN(f) {
		f = math.Float64frombits(value.NormalNaN)
	}
	*n = number(f)
	return nil
}

func (n number) MarshalJSON() ([]byte, error) {
	f := float64(n)
	switch {
	case math.IsNaN(f):
		return []byte(`"NaN"`), nil
	case math.IsInf(f, 0):
		return fmt.Appendf(nil, `"%+v"`, f), nil
	}
	return json.Marshal(f)
}

type scenario struct {
	RuleFiles    []string      `json:"rule_files"`
	Start        unixTime      `json:"start"`
	End          unixTime      `json:"end"`
	SeriesFile   string        `json:"series_file"`
	Gaps         [][2]unixTime `json:"gaps"`
	Queries      []query       `json:"queries"`
	GroupOffsets string        `json:"group_offsets"`
	// Groups that are evaluated only within these windows; others always are.
	Only map[string][][2]unixTime `json:"only"`
	Keep string                   `json:"keep"`
}

// due says whether a group is to be evaluated at t.
func (sc *scenario) due(group string, t unixTime) bool {
	windows, limited := sc.Only[group]
	return !limited || slices.ContainsFunc(windows, func(w [2]unixTime) bool { return w[0] <= t && t < w[1] })
}

type query struct {
	Name  string     `json:"name"`
	Expr  string     `json:"expr"`
	Times []unixTime `json:"times"`
	Start unixTime   `json:"start"`
	End   unixTime   `json:"end"`
	Step  unixTime   `json:"step"`
}

// series is one line of the series file, and the position of the replay in it.
type series struct {
	Labels labels.Labels `json:"labels"`
	Start  unixTime      `json:"start"`
	Step   unixTime      `json:"step"`
	Values []number      `json:"values"`

	pos int
	ref storage.SeriesRef
}

func (s *series) next() unixTime {
	if s.pos >= len(s.Values) {
		return never
	}
	return s.Start + unixTime(s.pos)*s.Step
}

const never = unixTime(math.MaxInt64)

// loadScenario reads and checks a scenario. What it rejects would otherwise
// leave holes in the output that look like results.
func loadScenario(path string) (*scenario, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sc := &scenario{GroupOffsets: "hashed"}
	dec := json.NewDecoder(f)
	dec.DisallowUnknownFields()
	if err := dec.Decode(sc); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}

	resolve := func(p string) string {
		if filepath.IsAbs(p) {
			return p
		}
		return filepath.Join(filepath.Dir(path), p)
	}
	for i, p := range sc.RuleFiles {
		sc.RuleFiles[i] = resolve(p)
	}
	sc.SeriesFile = resolve(sc.SeriesFile)
	if sc.Keep != "" {
		sc.Keep = resolve(sc.Keep)
	}

	if sc.End < sc.Start {
		return nil, errors.New("end is before start")
	}
	if sc.GroupOffsets != "hashed" && sc.GroupOffsets != "aligned" {
		return nil, fmt.Errorf("group_offsets %q: want hashed or aligned", sc.GroupOffsets)
	}
	for i, g := range sc.Gaps {
		if g[1] <= g[0] || i > 0 && g[0] < sc.Gaps[i-1][1] {
			return nil, fmt.Errorf("gap %d is empty, overlaps the one before it or is out of order", i)
		}
	}
	names := map[string]bool{}
	for i := range sc.Queries {
		q := &sc.Queries[i]
		if names[q.Name] {
			return nil, fmt.Errorf("query %q: two queries with that name", q.Name)
		}
		names[q.Name] = true
		if q.Step > 0 {
			for t := q.Start; t <= q.End; t += q.Step {
				q.Times = append(q.Times, t)
			}
		}
		slices.Sort(q.Times)
		if len(q.Times) == 0 || q.Times[0] < sc.Start || q.Times[len(q.Times)-1] > sc.End {
			return nil, fmt.Errorf("query %q: no times, or times outside start and end", q.Name)
		}
	}
	return sc, nil
}

// loadSeries reads the series file one series at a time: a line of text is much
// larger than the values that it holds.
func loadSeries(path string) ([]*series, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	dec.DisallowUnknownFields()
	var all []*series
	for {
		s := &series{}
		switch err := dec.Decode(s); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("%s: series %d: %w", path, len(all)+1, err)
		case s.Step <= 0 || !s.Labels.Has(labels.MetricName):
			return nil, fmt.Errorf("%s: series %d needs a step and a __name__", path, len(all)+1)
		}
		all = append(all, s)
	}
}
