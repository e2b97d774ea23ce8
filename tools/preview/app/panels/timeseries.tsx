// Lines over time: Grafana's own plot, with annotations as its panel draws them.

import { DataFrame, FieldType, PanelProps } from '@grafana/data';
import { TimeSeries } from '@grafana/ui';
import type uPlot from 'uplot';
import { isEmpty, NoData } from './noData';

export const TIME_SERIES_DEFAULTS = {
  legend: { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [] },
  tooltip: { mode: 'single', sort: 'none' },
};

const TAG = 6; // half the width of the mark under the time axis, in pixels

function column(frame: DataFrame, name: string): unknown[] {
  return frame.fields.find((field) => field.name === name)?.values ?? [];
}

// A dashed line where an event begins and ends, a tint between, a mark under the axis.
function drawAnnotations(annotations: DataFrame[]) {
  return (plot: uPlot) => {
    const { ctx, bbox } = plot;
    const ratio = window.devicePixelRatio;
    ctx.save();
    for (const frame of annotations) {
      const ends = column(frame, 'timeEnd') as number[];
      const colors = column(frame, 'color') as string[];
      (column(frame, 'time') as number[]).forEach((time, row) => {
        const from = plot.valToPos(time, 'x', true);
        const to = ends[row] ? plot.valToPos(ends[row], 'x', true) : from;
        if (to < bbox.left || from > bbox.left + bbox.width) {
          return;
        }
        const left = Math.max(from, bbox.left);
        const right = Math.min(to, bbox.left + bbox.width);
        ctx.strokeStyle = ctx.fillStyle = colors[row];
        ctx.lineWidth = 2 * ratio;
        ctx.setLineDash([5 * ratio, 5 * ratio]);
        ctx.beginPath();
        for (const x of right > left ? [left, right] : [left]) {
          ctx.moveTo(x, bbox.top);
          ctx.lineTo(x, bbox.top + bbox.height);
        }
        ctx.stroke();
        ctx.globalAlpha = 0.1;
        ctx.fillRect(left, bbox.top, right - left, bbox.height);
        ctx.globalAlpha = 1;
        const width = Math.max(right - left, 2 * TAG * ratio);
        ctx.fillRect(right > left ? left : left - TAG * ratio, bbox.top + bbox.height, width, 5 * ratio);
      });
    }
    ctx.restore();
  };
}

function plottable(frames: DataFrame[]): DataFrame[] {
  return frames.filter(
    (frame) =>
      frame.length > 0 &&
      frame.fields.some((field) => field.type === FieldType.time) &&
      frame.fields.some((field) => field.type === FieldType.number)
  );
}

export function TimeSeriesPanel(props: PanelProps) {
  const { data, options, timeRange, timeZone, width, height, fieldConfig } = props;
  const frames = plottable(data.series);
  if (isEmpty(data) || frames.length === 0) {
    return <NoData noValue={fieldConfig.defaults.noValue} />;
  }
  const marks = drawAnnotations(data.annotations ?? []);
  return (
    <TimeSeries
      key={data.annotations?.length ?? 0} // the plot keeps its hooks: a new one when annotations arrive
      frames={frames}
      structureRev={data.structureRev}
      timeRange={timeRange}
      timeZone={timeZone}
      width={width}
      height={height}
      legend={options.legend}
      options={options}
      renderers={[{ fieldMap: {}, indicesOnly: [], init: (builder) => builder.addHook('draw', marks) }]}
    />
  );
}
