package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// t0 is a multiple of the intervals below, so that aligned groups run at t0.
const t0 = 1699999800

func writeScenario(t *testing.T, ruleFile, seriesFile, sc string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"rules.yml": ruleFile, "series.jsonl": seriesFile, "scenario.json": sc} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "scenario.json")
}

func runScenario(t *testing.T, ruleFile, seriesFile, sc string) (*output, error) {
	t.Helper()
	out, failure, err := replay(t.Context(), writeScenario(t, ruleFile, seriesFile, sc), func(float64) {})
	if err != nil {
		t.Fatal(err)
	}
	return out, failure
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// at writes the unix times of t0 plus each offset, as a JSON list.
func at(offsets ...int) string {
	var times []string
	for _, o := range offsets {
		times = append(times, fmt.Sprint(t0+o))
	}
	return "[" + strings.Join(times, ",") + "]"
}

const busyRules = `
groups:
- name: recorded
  interval: 30s
  rules:
  - record: req:rate5m
    expr: sum(rate(req_total[5m]))
- name: alerts
  interval: 1m
  rules:
  - alert: Busy
    expr: req:rate5m > 2
    for: 5m
    labels: {severity: page}
    annotations:
      summary: '{{ printf "%.2f" $value }} now, {{ with query "req:rate5m offset 1m" }}{{ . | first | value | printf "%.2f" }}{{ end }} before'
`

// busySeries has a counter with 1/s for ten minutes, then 3/s; it is scraped
// for half an hour. up has one good scrape, a missing one and a stale one.
func busySeries() string {
	var values []string
	for x := 0; x <= 1800; x += 15 {
		values = append(values, fmt.Sprint(x+2*max(0, x-600)))
	}
	return fmt.Sprintf(`{"labels":{"__name__":"req_total"},"start":%d,"step":15,"values":[%s]}
{"labels":{"__name__":"up"},"start":%d,"step":15,"values":[1,null,"stale"]}
`, t0, strings.Join(values, ","), t0)
}

func busyScenario(offsets string) string {
	return fmt.Sprintf(`{"rule_files":["rules.yml"],"series_file":"series.jsonl","start":%d,"end":%d,
"gaps":[%s],"group_offsets":%q,"queries":[
{"name":"rate","expr":"round(req:rate5m, 0.001)","times":%s},
{"name":"up","expr":"up","start":%d,"end":%d,"step":15},
{"name":"recorded at","expr":"timestamp(req:rate5m) - %d","times":%s},
{"name":"NaN","expr":"0/0","times":%s},
{"name":"Inf","expr":"vector(-1)/0","times":%s}]}`,
		t0, t0+1800, at(1500, 1560), offsets, at(600, 750), t0, t0+30, t0, at(1530, 1800), at(0), at(0))
}

func TestReplay(t *testing.T) {
	out, failure := runScenario(t, busyRules, busySeries(), busyScenario("aligned"))
	if failure != nil {
		t.Error(failure)
	}
	// With n of the 19 increases in the window at 3/s the rate is (19+2n)/19.
	want := map[string]string{
		"rate": fmt.Sprintf(`[{"time":%d,"result":[{"metric":{},"value":1}]},`+
			`{"time":%d,"result":[{"metric":{},"value":2.053}]}]`, t0+600, t0+750),
		"up": fmt.Sprintf(`[{"time":%d,"result":[{"metric":{"__name__":"up"},"value":1}]},`+
			`{"time":%d,"result":[{"metric":{"__name__":"up"},"value":1}]},{"time":%d,"result":[]}]`, t0, t0+15, t0+30),
		// In the gap the last evaluation before it is all there is.
		"recorded at": fmt.Sprintf(`[{"time":%d,"result":[{"metric":{},"value":1470}]},{"time":%d,"result":[{"metric":{},"value":1800}]}]`, t0+1530, t0+1800),
		"NaN":         fmt.Sprintf(`[{"time":%d,"result":[{"metric":{},"value":"NaN"}]}]`, t0),
		"Inf":         fmt.Sprintf(`[{"time":%d,"result":[{"metric":{},"value":"-Inf"}]}]`, t0),
	}
	for name, w := range want {
		if got := asJSON(t, out.Queries[name]); got != w {
			t.Errorf("query %s:\n got %s\nwant %s", name, got, w)
		}
	}

	// After the gap the alert is pending again until the server has restored its
	// state, after its second evaluation; it does not wait for five minutes anew.
	var alerts []string
	for _, a := range out.Alerts {
		if got := asJSON(t, a.Labels); got != `{"alertname":"Busy","severity":"page"}` {
			t.Errorf("labels %s", got)
		}
		alerts = append(alerts, fmt.Sprint(a.Time/1000-t0, " ", a.State, ": ", a.Annotations.Get("summary")))
	}
	wantAlerts := []string{
		"780 pending: 2.26 now, 1.84 before",
		"1080 firing: 3.00 now, 3.00 before",
		"1560 pending: 3.00 now, 3.00 before",
		"1680 firing: 3.00 now, 3.00 before",
	}
	if !reflect.DeepEqual(alerts, wantAlerts) {
		t.Errorf("alerts:\n got %q\nwant %q", alerts, wantAlerts)
	}

	for name, w := range map[string]evaluations{"recorded": {Count: 59, Samples: 58}, "alerts": {Count: 30}} {
		got := *out.Evaluations[name]
		if name == "alerts" {
			got.Samples = 0 // ALERTS and ALERTS_FOR_STATE, which the test of alerts covers
		}
		got.Seconds = 0
		if got != w {
			t.Errorf("evaluations of %s: got %+v, want %+v", name, got, w)
		}
	}
	if want := 121 - 4 + 2; out.RawSamples != want {
		t.Errorf("raw samples: got %d, want %d", out.RawSamples, want)
	}
}

func TestHashedPhase(t *testing.T) {
	out, failure := runScenario(t, busyRules, busySeries(), busyScenario("hashed"))
	if failure != nil {
		t.Error(failure)
	}
	if n := len(out.Alerts); n != 4 {
		t.Fatalf("got %d alert transitions, want 4", n)
	}
	phase := func(i int) unixTime { return (out.Alerts[i].Time - t0*1000) % 60_000 }
	if phase(0) == 0 || phase(0) != phase(1) || phase(0) != phase(3) {
		t.Errorf("phases %d, %d, %d ms: want the same one, not zero", phase(0), phase(1), phase(3))
	}
}

func TestFailures(t *testing.T) {
	ruleFile := `
groups:
- name: bad
  interval: 1m
  rules:
  - record: both
    expr: '{__name__=~"a|b"}'
  - alert: BadTemplate
    expr: a > 0
    annotations: {summary: '{{ query "a +" }}'}
`
	var lines string
	for _, name := range []string{"a", "b"} {
		lines += fmt.Sprintf(`{"labels":{"__name__":%q},"start":%d,"step":60,"values":[1,1]}`+"\n", name, t0)
	}
	out, failure := runScenario(t, ruleFile, lines, fmt.Sprintf(
		`{"rule_files":["rules.yml"],"series_file":"series.jsonl","start":%d,"end":%d,"group_offsets":"aligned"}`, t0, t0+60))
	if failure == nil || !strings.Contains(failure.Error(), "group bad, rule both") {
		t.Errorf("first failure: %v", failure)
	}
	if n := out.Evaluations["bad"].Failures; n != 4 {
		t.Errorf("got %d failures, want 4", n)
	}
}

func TestOnlyAndKeep(t *testing.T) {
	keep := filepath.Join(t.TempDir(), "kept")
	only := fmt.Sprintf(`"only":{"recorded":[%s]},"keep":%q,"queries"`, at(600, 700), keep)
	sc := strings.Replace(busyScenario("aligned"), `"queries"`, only, 1)
	out, failure := runScenario(t, busyRules, busySeries(), sc)
	if failure != nil {
		t.Error(failure)
	}
	if n := out.Evaluations["recorded"].Count; n != 4 {
		t.Errorf("got %d evaluations in the window, want 4", n)
	}
	blocks, err := filepath.Glob(filepath.Join(keep, "*", "meta.json"))
	if err != nil || len(blocks) != 1 {
		t.Fatalf("blocks %q, error %v: want one", blocks, err)
	}

	_, _, err = replay(t.Context(), writeScenario(t, busyRules, busySeries(), strings.Replace(sc, "recorded\":", "unheard of\":", 1)), func(float64) {})
	if err == nil || !strings.Contains(err.Error(), "no rule group has that name") {
		t.Errorf("a group that does not exist: error %v", err)
	}
}
