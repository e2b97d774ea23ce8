// Stat, bar gauge and gauge: one display for each value, laid out by Grafana's repeater.

import {
  DisplayValueAlignmentFactors,
  FieldDisplay,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  PanelProps,
  ReduceDataOptions,
  VizOrientation,
} from '@grafana/data';
import { BarGauge, BigValue, BigValueGraphMode, BigValueTextMode, DataLinksContextMenu, useTheme2, VizRepeater } from '@grafana/ui';
import { BarGaugeDisplayMode } from '@grafana/schema';
import { ReactElement } from 'react';
import { Dial } from './dial';

interface Options {
  reduceOptions: ReduceDataOptions;
  orientation: VizOrientation;
  text?: { titleSize?: number; valueSize?: number };
  [other: string]: any;
}

export const SINGLE_DEFAULTS = {
  reduceOptions: { values: false, calcs: ['lastNotNull'], fields: '' },
  orientation: VizOrientation.Auto,
};

interface Item {
  value: FieldDisplay;
  width: number;
  height: number;
  count: number;
  orientation: VizOrientation;
  alignmentFactors: DisplayValueAlignmentFactors;
}

interface Layout {
  itemSpacing?: number;
  autoGrid?: boolean;
  minVizWidth?: number;
  minVizHeight?: number;
  maxVizHeight?: number;
  sparkline?: boolean;
}

function Values(props: PanelProps<Options> & { layout: Layout; draw: (item: Item) => ReactElement }) {
  const { data, options, fieldConfig, width, height, renderCounter, replaceVariables, timeZone, layout, draw } = props;
  const theme = useTheme2();
  const getValues = () =>
    getFieldDisplayValues({
      fieldConfig,
      reduceOptions: options.reduceOptions,
      replaceVariables,
      theme,
      data: data.series,
      sparkline: layout.sparkline,
      timeZone,
    });
  return (
    <VizRepeater
      getValues={getValues}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={(item) => {
        const one = item as Item;
        const { hasLinks, getLinks } = one.value;
        return hasLinks && getLinks ? (
          <DataLinksContextMenu links={getLinks}>{() => draw(one)}</DataLinksContextMenu>
        ) : (
          draw(one)
        );
      }}
      width={width}
      height={height}
      source={data}
      renderCounter={renderCounter}
      orientation={options.orientation}
      {...layout}
    />
  );
}

export function StatPanel(props: PanelProps<Options>) {
  const { options, fieldConfig, title } = props;
  const theme = useTheme2();
  const named = options.textMode === BigValueTextMode.Auto && (fieldConfig.defaults.displayName || !title);
  const sparkline = options.graphMode !== BigValueGraphMode.None;
  const draw = (item: Item) => (
    <BigValue
      value={item.value.display}
      count={item.count}
      sparkline={item.value.sparkline}
      width={item.width}
      height={item.height}
      theme={theme}
      colorMode={options.colorMode}
      graphMode={options.graphMode}
      justifyMode={options.justifyMode}
      textMode={named ? BigValueTextMode.ValueAndName : options.textMode}
      alignmentFactors={item.alignmentFactors}
      text={options.text}
      disableWideLayout={!options.wideLayout}
    />
  );
  return <Values {...props} layout={{ itemSpacing: 3, autoGrid: true, sparkline }} draw={draw} />;
}

export const STAT_DEFAULTS = {
  ...SINGLE_DEFAULTS,
  colorMode: 'value',
  graphMode: 'area',
  justifyMode: 'auto',
  textMode: 'auto',
  wideLayout: true,
};

export function BarGaugePanel(props: PanelProps<Options>) {
  const { options } = props;
  const theme = useTheme2();
  const draw = ({ value, width, height, count, orientation, alignmentFactors }: Item) => (
    <BarGauge
      value={count === 1 && !value.field.displayName ? { ...value.display, title: undefined } : value.display}
      field={value.field}
      display={value.view?.getFieldDisplayProcessor(value.colIndex!)}
      width={width}
      height={height}
      orientation={orientation}
      alignmentFactors={alignmentFactors}
      text={options.text}
      theme={theme}
      itemSpacing={options.displayMode === BarGaugeDisplayMode.Lcd ? 2 : 10}
      lcdCellWidth={options.displayMode === BarGaugeDisplayMode.Lcd ? 12 : 8}
      displayMode={options.displayMode}
      showUnfilled={options.showUnfilled}
      valueDisplayMode={options.valueMode}
      namePlacement={options.namePlacement}
    />
  );
  const spacing = options.displayMode === BarGaugeDisplayMode.Lcd ? 2 : 10;
  const sizes = { minVizWidth: options.minVizWidth, minVizHeight: options.minVizHeight, maxVizHeight: options.maxVizHeight };
  return <Values {...props} layout={{ itemSpacing: spacing, ...sizes }} draw={draw} />;
}

export const BAR_GAUGE_DEFAULTS = {
  ...SINGLE_DEFAULTS,
  displayMode: 'gradient',
  valueMode: 'color',
  namePlacement: 'auto',
  showUnfilled: true,
  minVizWidth: 8,
  minVizHeight: 16,
  maxVizHeight: 300,
};

export function GaugePanel(props: PanelProps<Options>) {
  const draw = ({ value, width, height, count }: Item) => (
    <Dial value={value} width={width} height={height} named={count > 1 || Boolean(value.field.displayName)} />
  );
  return <Values {...props} layout={{ itemSpacing: 7, autoGrid: true, minVizWidth: 75, minVizHeight: 75 }} draw={draw} />;
}
