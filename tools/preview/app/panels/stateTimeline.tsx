// State timeline. Grafana's own panel is not published on npm; this one draws the same bands from the same
// frames: colour and text come from the field's mappings and thresholds, equal neighbours are one band.

import { DataFrame, DisplayValue, Field, FieldType, formattedValueToString, getFieldDisplayName, PanelProps } from '@grafana/data';
import { useTheme2, VizLegend, VizLayout } from '@grafana/ui';
import { AXIS_HEIGHT, Clipped, Span, span, TimeAxis } from './timeAxis';
import { isEmpty, NoData } from './noData';

export const STATE_TIMELINE_DEFAULTS = {
  showValue: 'auto',
  mergeValues: true,
  rowHeight: 0.9,
  alignValue: 'left',
  legend: { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [] },
};

interface Band {
  from: number;
  to: number;
  value: DisplayValue;
}

interface Row {
  name: string;
  bands: Band[];
}

// A null ends a band; so does a silence of several of the frame's own steps.
function bands(time: number[], field: Field, merge: boolean, end: number): Band[] {
  const steps = time.slice(1).map((at, index) => at - time[index]).sort((a, b) => a - b);
  const step = steps[Math.floor(steps.length / 2)] ?? 0;
  const found: Band[] = [];
  time.forEach((at, index) => {
    const raw = field.values[index];
    if (raw === null || raw === undefined) {
      return;
    }
    const value = field.display!(raw);
    const to = Math.min(time[index + 1] ?? at + step, step ? at + 3 * step : Infinity, Math.max(end, at));
    const last = found[found.length - 1];
    if (merge && last && last.to >= at && last.value.text === value.text && last.value.color === value.color) {
      last.to = to;
    } else {
      found.push({ from: at, to, value });
    }
  });
  return found;
}

function rows(frames: DataFrame[], merge: boolean, end: number): Row[] {
  return frames.flatMap((frame) => {
    const time = frame.fields.find((field) => field.type === FieldType.time);
    if (!time) {
      return [];
    }
    return frame.fields
      .filter((field) => field !== time && !field.config.custom?.hideFrom?.viz)
      .map((field) => ({
        name: getFieldDisplayName(field, frame, frames),
        bands: bands(time.values, field, merge, end),
      }));
  });
}

function states(all: Row[]) {
  const seen = new Map<string, string | undefined>();
  all.forEach((row) => row.bands.forEach(({ value }) => seen.set(formattedValueToString(value), value.color)));
  return [...seen].map(([label, color]) => ({ label, color, yAxis: 1 }));
}

function Bands(props: { rows: Row[]; width: number; height: number; span: Span; options: any; timeZone: string }) {
  const { rows, width, height, span, options, timeZone } = props;
  const theme = useTheme2();
  const longest = Math.max(...rows.map((row) => row.name.length));
  const left = Math.min(width * 0.35, longest * 6.8 + 12);
  const room = width - left - 4;
  const each = (height - AXIS_HEIGHT) / rows.length;
  const x = (at: number) => left + ((Math.min(Math.max(at, span.from), span.to) - span.from) / (span.to - span.from)) * room;
  return (
    <svg width={width} height={height} role="img" aria-label="states over time">
      {rows.map((row, index) => {
        const top = index * each + (each * (1 - options.rowHeight)) / 2;
        const tall = each * options.rowHeight;
        return (
          <g key={`${row.name}${index}`}>
            <Clipped text={row.name} width={left - 8} x={left - 8} y={top + tall / 2 + 4} anchor="end" fill={theme.colors.text.primary} />
            {row.bands.map((band) => {
              const wide = Math.max(1, x(band.to) - x(band.from));
              const color = band.value.color ?? theme.colors.text.disabled;
              return (
                <g key={band.from}>
                  <rect x={x(band.from)} y={top} width={wide} height={tall} fill={color} fillOpacity={0.7} stroke={color} strokeWidth={1} />
                  {options.showValue !== 'never' && tall >= 12 && (
                    <Clipped
                      text={formattedValueToString(band.value)}
                      width={wide - 8}
                      x={x(band.from) + 4}
                      y={top + tall / 2 + 4}
                      fill={theme.colors.getContrastText(color)}
                    />
                  )}
                </g>
              );
            })}
          </g>
        );
      })}
      <TimeAxis span={span} left={left} width={room} top={height - AXIS_HEIGHT} timeZone={timeZone} theme={theme} />
    </svg>
  );
}

export function StateTimelinePanel(props: PanelProps) {
  const { data, options, width, height, timeRange, timeZone, fieldConfig } = props;
  const shown = span(timeRange);
  const all = rows(data.series, options.mergeValues, shown.to);
  if (isEmpty(data) || all.length === 0) {
    return <NoData noValue={fieldConfig.defaults.noValue} />;
  }
  const legend = options.legend?.showLegend ? (
    <VizLayout.Legend placement={options.legend.placement}>
      <VizLegend placement={options.legend.placement} items={states(all)} displayMode={options.legend.displayMode} readonly />
    </VizLayout.Legend>
  ) : null;
  return (
    <VizLayout width={width} height={height} legend={legend}>
      {(wide: number, tall: number) => (
        <Bands rows={all} width={wide} height={tall} span={shown} options={options} timeZone={timeZone} />
      )}
    </VizLayout>
  );
}
