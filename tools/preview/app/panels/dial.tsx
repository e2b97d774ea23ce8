// A gauge. Grafana's own is not published on npm, so this one is drawn here: same arc, same thresholds.

import { FieldDisplay, formattedValueToString, getActiveThreshold, ThresholdsMode } from '@grafana/data';
import { useTheme2 } from '@grafana/ui';

const SWEEP = 240; // degrees, open at the bottom

function point(cx: number, cy: number, radius: number, share: number): string {
  const angle = ((-90 - SWEEP / 2 + share * SWEEP) * Math.PI) / 180;
  return `${cx + radius * Math.cos(angle)} ${cy + radius * Math.sin(angle)}`;
}

function arc(cx: number, cy: number, radius: number, from: number, to: number): string {
  const large = (to - from) * SWEEP > 180 ? 1 : 0;
  return `M ${point(cx, cy, radius, from)} A ${radius} ${radius} 0 ${large} 1 ${point(cx, cy, radius, to)}`;
}

export function Dial(props: { value: FieldDisplay; width: number; height: number; named: boolean }) {
  const { value, width, height, named } = props;
  const theme = useTheme2();
  const { display, field } = value;
  const min = field.min ?? 0;
  const max = field.max ?? 100;
  const share = (number: number) => Math.min(1, Math.max(0, (number - min) / (max - min || 1)));
  const steps = field.thresholds?.steps ?? [];
  const percentage = field.thresholds?.mode === ThresholdsMode.Percentage;
  const bound = (number: number) => (percentage ? Math.min(1, Math.max(0, number / 100)) : share(number));
  const titleHeight = named ? 20 : 0;
  const radius = Math.min(width / 2, (height - titleHeight) / 1.6) - 8;
  const cx = width / 2;
  const cy = radius + 8;
  const thick = radius * 0.22;
  const text = formattedValueToString(display);
  const size = Math.min(radius * 0.5, (radius * 2.2) / Math.max(1, text.length));
  return (
    <svg width={width} height={height} role="img" aria-label={text}>
      <path d={arc(cx, cy, radius - thick, 0, 1)} stroke={theme.colors.background.secondary} strokeWidth={thick} fill="none" />
      {Number.isFinite(display.numeric) && (
        <path d={arc(cx, cy, radius - thick, 0, share(display.numeric))} stroke={display.color} strokeWidth={thick} fill="none" />
      )}
      {steps.map((step, index) => {
        const from = index === 0 ? 0 : bound(step.value);
        const to = index + 1 < steps.length ? bound(steps[index + 1].value) : 1;
        const color = theme.visualization.getColorByName(getActiveThreshold(step.value, steps).color);
        return to > from && <path key={index} d={arc(cx, cy, radius, from, to)} stroke={color} strokeWidth={radius * 0.06} fill="none" />;
      })}
      <text x={cx} y={cy + size / 3} textAnchor="middle" fontSize={size} fontWeight={500} fill={display.color ?? theme.colors.text.primary}>
        {text}
      </text>
      {named && (
        <text x={cx} y={height - 6} textAnchor="middle" fontSize={14} fill={theme.colors.text.primary}>
          {display.title}
        </text>
      )}
    </svg>
  );
}
