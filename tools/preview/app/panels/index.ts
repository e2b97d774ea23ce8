// Panel plug-ins by their Grafana ids. Grafana's own are not on npm: those with a component in @grafana/ui are
// thin here (stat, bar gauge, time series, table, text), the others are drawn here (gauge, heatmap, state timeline).

import { PanelPlugin, PluginType } from '@grafana/data';
import { sceneUtils } from '@grafana/scenes';
import { Custom, customOptions, GRAPH, HEATMAP, NONE, PALETTE, TABLE, TIMELINE } from '../fieldConfig';
import { HEATMAP_DEFAULTS, HeatmapPanel } from './heatmap';
import { BAR_GAUGE_DEFAULTS, BarGaugePanel, GaugePanel, SINGLE_DEFAULTS, STAT_DEFAULTS, StatPanel } from './singleValues';
import { STATE_TIMELINE_DEFAULTS, StateTimelinePanel } from './stateTimeline';
import { TABLE_DEFAULTS, TablePanel } from './table';
import { TextPanel } from './text';
import { TIME_SERIES_DEFAULTS, TimeSeriesPanel } from './timeseries';

interface Kind {
  component: React.ComponentType<any>;
  defaults: Record<string, unknown>;
  custom: Custom;
  palette?: boolean;
  skipDataQuery?: boolean;
  annotations?: boolean;
}

const KINDS: Record<string, Kind> = {
  timeseries: { component: TimeSeriesPanel, defaults: TIME_SERIES_DEFAULTS, custom: GRAPH, palette: true, annotations: true },
  stat: { component: StatPanel, defaults: STAT_DEFAULTS, custom: NONE },
  gauge: { component: GaugePanel, defaults: SINGLE_DEFAULTS, custom: NONE },
  bargauge: { component: BarGaugePanel, defaults: BAR_GAUGE_DEFAULTS, custom: NONE },
  table: { component: TablePanel, defaults: TABLE_DEFAULTS, custom: TABLE },
  'state-timeline': { component: StateTimelinePanel, defaults: STATE_TIMELINE_DEFAULTS, custom: TIMELINE },
  heatmap: { component: HeatmapPanel, defaults: HEATMAP_DEFAULTS, custom: HEATMAP },
  text: { component: TextPanel, defaults: { mode: 'markdown', content: '' }, custom: NONE, skipDataQuery: true },
};

function plugin(id: string, kind: Kind): PanelPlugin {
  const made = new PanelPlugin(kind.component);
  made.meta = {
    id,
    name: id,
    type: PluginType.panel,
    skipDataQuery: kind.skipDataQuery,
    info: { author: { name: '' }, description: '', links: [], logos: { large: '', small: '' }, screenshots: [], updated: '', version: '' },
    module: '',
    baseUrl: '',
    sort: 0,
  } as any;
  made.useFieldConfig({
    standardOptions: (kind.palette ? PALETTE : {}) as any,
    useCustomConfig: customOptions(kind.custom),
  });
  made.setPanelOptions((builder: any) => {
    for (const [path, defaultValue] of Object.entries(kind.defaults)) {
      builder.addCustomEditor({ id: path, path, name: path, defaultValue, editor: () => null });
    }
  });
  made.setDataSupport({ annotations: Boolean(kind.annotations), alertStates: false });
  return made;
}

export function registerPanels(): void {
  for (const [id, kind] of Object.entries(KINDS)) {
    sceneUtils.registerRuntimePanelPlugin({ pluginId: id, plugin: plugin(id, kind) });
  }
}
