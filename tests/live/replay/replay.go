package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

type output struct {
	Queries     map[string][]queryResult `json:"queries"`
	Alerts      []transition             `json:"alerts"`
	Evaluations map[string]*evaluations  `json:"evaluations"`
	RawSamples  int                      `json:"raw_samples"`
}

type queryResult struct {
	Time   unixTime `json:"time"`
	Result []sample `json:"result"`
	Error  string   `json:"error,omitempty"`
}

type sample struct {
	Metric labels.Labels `json:"metric"`
	Value  number        `json:"value"`
}

type transition struct {
	Time        unixTime      `json:"time"`
	Alertname   string        `json:"alertname"`
	Labels      labels.Labels `json:"labels"`
	Annotations labels.Labels `json:"annotations"`
	State       string        `json:"state"`
}

type evaluations struct {
	Count    int     `json:"count"`
	Seconds  float64 `json:"seconds"`
	Failures int     `json:"failures"`
	Samples  int     `json:"samples"`
}

// group is one rule group in the run of the server since its last start.
type group struct {
	*rules.Group
	next  unixTime
	evals int
}

// alertKey finds an alert again after a restart, when its rule is a new object.
type alertKey struct {
	group  string
	rule   int
	labels string
}

type replayer struct {
	ctx     context.Context
	sc      *scenario
	db      *tsdb.DB
	metrics *rules.Metrics
	opts    *rules.ManagerOptions
	loader  *orderedLoader

	series []*series
	groups []*group
	active map[alertKey]transition

	out      output
	firstErr error
}

// replay runs a whole scenario. The error is for a scenario that could not be
// run; that a rule or a query failed on the way is the second result.
func replay(ctx context.Context, path string, progress func(done float64)) (*output, error, error) {
	sc, err := loadScenario(path)
	if err != nil {
		return nil, nil, err
	}
	r := &replayer{ctx: ctx, sc: sc, active: map[alertKey]transition{}}
	r.out = output{Queries: map[string][]queryResult{}, Alerts: []transition{}, Evaluations: map[string]*evaluations{}}
	if r.series, err = loadSeries(sc.SeriesFile); err != nil {
		return nil, nil, err
	}

	dir, err := os.MkdirTemp("", "replay-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	// Everything stays in the head block: the first compaction would come after
	// longer than any scenario. Nothing will be recovered from disk, so no WAL.
	dbOpts := tsdb.DefaultOptions()
	dbOpts.MinBlockDuration = (10 * 365 * 24 * time.Hour).Milliseconds()
	dbOpts.MaxBlockDuration = dbOpts.MinBlockDuration
	dbOpts.RetentionDuration = 0
	dbOpts.WALSegmentSize = -1
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	if r.db, err = tsdb.Open(dir, logger, nil, dbOpts, nil); err != nil {
		return nil, nil, err
	}
	defer r.db.Close()

	// The limits and delays are the defaults of the server's flags.
	p := parser.NewParser(parser.Options{})
	engine := promql.NewEngine(promql.EngineOpts{
		Logger:                   logger,
		MaxSamples:               50_000_000,
		Timeout:                  2 * time.Minute,
		LookbackDelta:            5 * time.Minute,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		Parser:                   p,
	})
	r.metrics = rules.NewGroupMetrics(nil)
	r.loader = &orderedLoader{parser: p, logger: logger}
	r.opts = &rules.ManagerOptions{
		ExternalURL:     &url.URL{},
		QueryFunc:       rules.EngineQueryFunc(engine, r.db),
		NotifyFunc:      func(context.Context, string, ...*rules.Alert) {},
		Context:         ctx,
		AppendableV2:    r.db,
		Queryable:       r.db,
		Logger:          logger,
		OutageTolerance: time.Hour,
		ForGracePeriod:  10 * time.Minute,
		ResendDelay:     time.Minute,
		GroupLoader:     r.loader,
		Metrics:         r.metrics,
		Parser:          p,
	}
	for _, q := range sc.Queries {
		if _, err := p.ParseExpr(q.Expr); err != nil {
			return nil, nil, fmt.Errorf("query %q: %w", q.Name, err)
		}
	}
	if err := r.run(progress); err != nil {
		return nil, nil, err
	}
	if sc.Keep != "" {
		if err := r.db.Snapshot(sc.Keep, true); err != nil {
			return nil, nil, err
		}
	}
	return &r.out, r.firstErr, nil
}

// run handles everything that happens, in time order; at one instant scrapes
// come first, then rule groups, then queries, each in the order of the input.
func (r *replayer) run(progress func(done float64)) error {
	if err := r.startServer(r.sc.Start); err != nil {
		return err
	}
	gaps := r.sc.Gaps
	var mmapped unixTime
	for {
		t := r.nextEvent()
		if t > r.sc.End {
			return nil
		}
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if len(gaps) > 0 && t >= gaps[0][1] {
			// First of all the server starts; then its groups may be due before t.
			if err := r.startServer(gaps[0][1]); err != nil {
				return err
			}
			gaps = gaps[1:]
			continue
		}
		up := t >= r.sc.Start && (len(gaps) == 0 || t < gaps[0][0])
		if err := r.scrape(t, up); err != nil {
			return fmt.Errorf("scrape at %d: %w", t/1000, err)
		}
		for _, g := range r.groups {
			if g.next == t {
				g.next += unixTime(g.Interval().Milliseconds())
				if up && r.sc.due(g.Name(), t) {
					r.evaluate(g, t)
				}
			}
		}
		r.runQueries(t)
		// The head lists its in-memory chunks on each read. The server moves the
		// full ones to files every minute; here a minute is thousands of chunks.
		if t-mmapped > unixTime(time.Hour.Milliseconds()) {
			mmapped = t
			r.db.ForceHeadMMap()
			progress(float64(t-r.sc.Start) / float64(r.sc.End-r.sc.Start))
		}
	}
}

func (r *replayer) nextEvent() unixTime {
	t := never
	for _, s := range r.series {
		t = min(t, s.next())
	}
	for _, g := range r.groups {
		t = min(t, g.next)
	}
	for _, q := range r.sc.Queries {
		if len(q.Times) > 0 {
			t = min(t, q.Times[0])
		}
	}
	return t
}

// startServer does what a start of the server does to its rules: groups with
// no memory of alerts and of earlier series, and an alert state that is read
// back from ALERTS_FOR_STATE after the second evaluation (see evaluate).
func (r *replayer) startServer(now unixTime) error {
	r.loader.order = nil
	// A new manager's groups are those that restore; only the loading is used of
	// it, since its own loop evaluates by the wall clock.
	loaded, errs := rules.NewManager(r.opts).LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, r.sc.RuleFiles...)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for name := range r.sc.Only {
		if !slices.ContainsFunc(r.loader.order, func(key string) bool { return loaded[key].Name() == name }) {
			return fmt.Errorf("only %q: no rule group has that name", name)
		}
	}
	r.groups = nil
	for _, key := range r.loader.order {
		g := loaded[key]
		interval := g.Interval().Milliseconds()
		var phase int64
		if r.sc.GroupOffsets == "hashed" {
			// As rules.Group hashes, but without the folder, so that the phase
			// does not depend on where the scenario lies, and in milliseconds.
			h := labels.FromStrings("name", g.Name(), "file", filepath.Base(g.File())).Hash()
			phase = int64(h % uint64(interval))
		}
		late := (int64(now) - phase) % interval
		next := int64(now)
		if late > 0 {
			next += interval - late
		}
		r.groups = append(r.groups, &group{Group: g, next: unixTime(next)})
		if r.out.Evaluations[g.Name()] == nil {
			r.out.Evaluations[g.Name()] = &evaluations{}
		}
	}
	return nil
}

// orderedLoader loads rule files and keeps the order of their groups, which
// LoadGroups loses.
type orderedLoader struct {
	parser parser.Parser
	logger *slog.Logger
	order  []string
}

func (l *orderedLoader) Load(file string, ignoreUnknown bool, scheme model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	rgs, errs := rulefmt.ParseFile(file, ignoreUnknown, scheme, l.parser, l.logger)
	if rgs != nil {
		for _, rg := range rgs.Groups {
			l.order = append(l.order, rules.GroupKey(file, rg.Name))
		}
	}
	return rgs, errs
}

func (l *orderedLoader) Parse(expr string) (parser.Expr, error) { return l.parser.ParseExpr(expr) }

// scrape appends what the series have at t, or drops it if the server is down.
func (r *replayer) scrape(t unixTime, up bool) error {
	var app storage.AppenderV2
	for _, s := range r.series {
		if s.next() != t {
			continue
		}
		v := float64(s.Values[s.pos])
		s.pos++
		if !up || math.Float64bits(v) == math.Float64bits(missing) {
			continue
		}
		if app == nil {
			app = r.db.AppenderV2(r.ctx)
		}
		ref, err := app.Append(s.ref, s.Labels, 0, int64(t), v, nil, nil, storage.AOptions{RejectOutOfOrder: true})
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", s.Labels, err), app.Rollback())
		}
		s.ref = ref
		r.out.RawSamples++
	}
	if app == nil {
		return nil
	}
	return app.Commit()
}

func (r *replayer) evaluate(g *group, t unixTime) {
	ts := time.UnixMilli(int64(t)).UTC()
	stats := r.out.Evaluations[g.Name()]
	start := time.Now()
	g.Eval(r.ctx, ts)
	stats.Seconds += time.Since(start).Seconds()
	stats.Count++
	var m dto.Metric
	if err := r.metrics.GroupSamples.WithLabelValues(rules.GroupKey(g.File(), g.Name())).Write(&m); err == nil {
		stats.Samples += int(m.GetGauge().GetValue())
	}

	for i, rule := range g.Rules() {
		err := rule.LastError()
		if alerting, ok := rule.(*rules.AlertingRule); ok {
			err = cmp.Or(err, r.recordAlerts(alerting, rules.GroupKey(g.File(), g.Name()), i, t))
		}
		if err != nil {
			stats.Failures++
			r.fail(fmt.Errorf("group %s, rule %s at %s: %w", g.Name(), rule.Name(), ts.Format(time.RFC3339), err))
		}
	}

	// The server too restores only now: the rules that the alerts depend on
	// have then been evaluated once. No ALERTS are written before.
	g.evals++
	if g.evals == 2 {
		g.RestoreForState(ts)
	}
}

// recordAlerts compares the alerts of a rule with those that it had before. A
// template that fails is no error for the server, only a text in the alert.
func (r *replayer) recordAlerts(rule *rules.AlertingRule, group string, index int, t unixTime) (err error) {
	var changes []transition
	now := map[alertKey]bool{}
	for _, a := range rule.ActiveAlerts() {
		tr := transition{t, rule.Name(), a.Labels, a.Annotations, a.State.String()}
		k := alertKey{group, index, a.Labels.String()}
		now[k] = true
		if r.active[k].State != tr.State {
			changes = append(changes, tr)
		}
		r.active[k] = tr
		for _, lset := range []labels.Labels{a.Labels, a.Annotations} {
			lset.Range(func(l labels.Label) {
				if strings.Contains(l.Value, "<error expanding template:") {
					err = fmt.Errorf("%s: %s", l.Name, l.Value)
				}
			})
		}
	}
	for k, tr := range r.active {
		if k.group == group && k.rule == index && !now[k] {
			tr.Time, tr.State = t, rules.StateInactive.String()
			changes = append(changes, tr)
			delete(r.active, k)
		}
	}
	slices.SortFunc(changes, func(a, b transition) int { return labels.Compare(a.Labels, b.Labels) })
	r.out.Alerts = append(r.out.Alerts, changes...)
	return err
}

func (r *replayer) runQueries(t unixTime) {
	for i := range r.sc.Queries {
		q := &r.sc.Queries[i]
		for len(q.Times) > 0 && q.Times[0] == t {
			q.Times = q.Times[1:]
			res := queryResult{Time: t, Result: []sample{}}
			vector, err := r.opts.QueryFunc(r.ctx, q.Expr, time.UnixMilli(int64(t)).UTC())
			if err != nil {
				res.Error = err.Error()
				r.fail(fmt.Errorf("query %s at %d: %w", q.Name, t/1000, err))
			}
			for _, s := range vector {
				res.Result = append(res.Result, sample{s.Metric, number(s.F)})
			}
			slices.SortFunc(res.Result, func(a, b sample) int { return labels.Compare(a.Metric, b.Metric) })
			r.out.Queries[q.Name] = append(r.out.Queries[q.Name], res)
		}
	}
}

func (r *replayer) fail(err error) { r.firstErr = cmp.Or(r.firstErr, err) }
