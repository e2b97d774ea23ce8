// The parts of the classic (v1) dashboard JSON that are read here.

export interface DataSourceRef {
  type?: string;
  uid?: string;
}

export interface Target {
  refId: string;
  expr?: string;
  legendFormat?: string;
  format?: 'time_series' | 'table' | 'heatmap';
  instant?: boolean;
  range?: boolean;
  interval?: string;
  intervalFactor?: number;
  hide?: boolean;
  datasource?: DataSourceRef;
}

export interface Link {
  title: string;
  url?: string;
  type?: 'link' | 'dashboards';
  icon?: string;
  tags?: string[];
  tooltip?: string;
  targetBlank?: boolean;
}

export interface GridPos {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Panel {
  id?: number;
  type: string;
  title?: string;
  description?: string;
  gridPos: GridPos;
  transparent?: boolean;
  datasource?: DataSourceRef;
  targets?: Target[];
  options?: Record<string, unknown>;
  fieldConfig?: { defaults: Record<string, unknown>; overrides: unknown[] };
  transformations?: unknown[];
  links?: Link[];
  maxDataPoints?: number | null;
  interval?: string;
  timeFrom?: string;
  repeat?: string;
  repeatDirection?: 'h' | 'v';
  maxPerRow?: number;
  collapsed?: boolean;
  panels?: Panel[];
  pluginVersion?: string;
  scoped?: Record<string, { value: string; text: string }>; // set here, by a repeat
}

export interface Template {
  type: string;
  name: string;
  label?: string;
  query?: unknown;
  regex?: string;
  datasource?: DataSourceRef;
  multi?: boolean;
  includeAll?: boolean;
  allValue?: string | null;
  current?: { text?: unknown; value?: unknown };
  hide?: number;
  sort?: number;
  refresh?: number;
  options?: Array<{ text: string; value: string }>;
}

export interface Annotation {
  name: string;
  enable?: boolean;
  hide?: boolean;
  iconColor?: string;
  datasource?: DataSourceRef;
  expr?: string;
  step?: string;
  target?: { expr?: string; interval?: string };
  titleFormat?: string;
  textFormat?: string;
  tagKeys?: string;
  useValueForTime?: boolean;
  builtIn?: number;
}

export interface Board {
  title: string;
  uid: string;
  time?: { from: string; to: string };
  panels: Panel[];
  templating?: { list: Template[] };
  annotations?: { list: Annotation[] };
  links?: Link[];
}
