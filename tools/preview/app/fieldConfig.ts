// The standard options of a field, and those of each kind of panel, with Grafana's defaults.

import {
  booleanOverrideProcessor,
  dataLinksOverrideProcessor,
  displayNameOverrideProcessor,
  FieldConfigProperty,
  identityOverrideProcessor,
  numberOverrideProcessor,
  stringOverrideProcessor,
  thresholdsOverrideProcessor,
  unitOverrideProcessor,
  valueMappingsOverrideProcessor,
} from '@grafana/data';

const PROCESSORS: Record<string, unknown> = {
  unit: unitOverrideProcessor,
  min: numberOverrideProcessor,
  max: numberOverrideProcessor,
  decimals: numberOverrideProcessor,
  fieldMinMax: booleanOverrideProcessor,
  displayName: displayNameOverrideProcessor,
  noValue: stringOverrideProcessor,
  color: identityOverrideProcessor,
  thresholds: thresholdsOverrideProcessor,
  mappings: valueMappingsOverrideProcessor,
  links: dataLinksOverrideProcessor,
  actions: identityOverrideProcessor,
  filterable: booleanOverrideProcessor,
};

const DEFAULTS: Record<string, unknown> = {
  mappings: [],
  color: { mode: 'thresholds' },
  thresholds: {
    mode: 'absolute',
    steps: [
      { value: null, color: 'green' },
      { value: 80, color: 'red' },
    ],
  },
};

function option(path: string, process: unknown, defaultValue: unknown): any {
  return {
    id: path,
    path,
    name: path,
    description: '',
    defaultValue,
    editor: () => null,
    override: () => null,
    process,
    shouldApply: () => true,
    settings: {},
  };
}

export function standardFieldConfig(): any[] {
  return Object.entries(PROCESSORS).map(([id, process]) => option(id, process, DEFAULTS[id]));
}

export type Custom = Record<string, unknown>; // option of a panel's fields -> its default

const HIDE = { hideFrom: { viz: false, legend: false, tooltip: false } };

export const GRAPH: Custom = {
  drawStyle: 'line',
  lineInterpolation: 'linear',
  lineWidth: 1,
  lineStyle: undefined,
  fillOpacity: 0,
  fillBelowTo: undefined,
  gradientMode: 'none',
  barAlignment: 0,
  barWidthFactor: 0.6,
  showPoints: 'auto',
  pointSize: 5,
  spanNulls: false,
  insertNulls: false,
  stacking: { mode: 'none', group: 'A' },
  thresholdsStyle: { mode: 'off' },
  transform: undefined,
  axisPlacement: 'auto',
  axisLabel: '',
  axisWidth: undefined,
  axisColorMode: 'text',
  axisBorderShow: false,
  axisGridShow: undefined,
  axisCenteredZero: false,
  axisSoftMin: undefined,
  axisSoftMax: undefined,
  scaleDistribution: { type: 'linear' },
  ...HIDE,
};

export const TABLE: Custom = {
  align: 'auto',
  cellOptions: { type: 'auto' },
  footer: { reducers: [] },
  inspect: false,
  filterable: undefined,
  width: undefined,
  minWidth: undefined,
  wrapText: undefined,
  wrapHeaderText: undefined,
  tooltip: undefined,
  hidden: undefined,
  ...HIDE,
};

export const TIMELINE: Custom = { lineWidth: 1, fillOpacity: 70, spanNulls: false, insertNulls: false, ...HIDE };

export const HEATMAP: Custom = { scaleDistribution: { type: 'linear' }, ...HIDE };

export const NONE: Custom = {};

// A default that is a thresholds mode for most panels, and the palette for lines.
export const PALETTE = { [FieldConfigProperty.Color]: { defaultValue: { mode: 'palette-classic' } } };

export function customOptions(custom: Custom) {
  return (builder: any) => {
    for (const [path, defaultValue] of Object.entries(custom)) {
      builder.addCustomEditor(option(path, identityOverrideProcessor, defaultValue));
    }
  };
}
