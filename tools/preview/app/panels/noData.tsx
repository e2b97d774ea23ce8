import { PanelData } from '@grafana/data';

export const NO_DATA = 'preview-no-data'; // the class by which the report knows it

export function isEmpty(data: PanelData): boolean {
  return !data.series.some((frame) => frame.length > 0 && frame.fields.length > 0);
}

// What Grafana shows in a panel whose answer is empty.
export function NoData({ noValue }: { noValue?: string }) {
  return (
    <div
      className={NO_DATA}
      style={{ display: 'flex', alignItems: 'center', justifyContent: 'center', height: '100%', width: '100%', textAlign: 'center' }}
    >
      {noValue || 'No data'}
    </div>
  );
}
