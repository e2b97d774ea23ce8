import { cacheFieldDisplayNames, PanelProps } from '@grafana/data';
import { TableNG } from '@grafana/ui/unstable';
import { NoData } from './noData';

export const TABLE_DEFAULTS = { showHeader: true, cellHeight: 'sm', frameIndex: 0, sortBy: [] };

export function TablePanel(props: PanelProps) {
  const { data, options, width, height, fieldConfig, timeRange, transparent } = props;
  cacheFieldDisplayNames(data.series); // the table reads the columns' titles from there
  const frame = data.series[options.frameIndex] ?? data.series[0];
  if (!frame || frame.fields.length === 0) {
    return <NoData noValue={fieldConfig.defaults.noValue} />;
  }
  return (
    <TableNG
      data={frame}
      width={width}
      height={height}
      noHeader={!options.showHeader}
      showTypeIcons={options.showTypeIcons}
      resizable={true}
      sortBy={options.sortBy}
      enablePagination={options.enablePagination}
      cellHeight={options.cellHeight}
      maxRowHeight={options.maxRowHeight}
      frozenColumns={options.frozenColumns?.left}
      structureRev={data.structureRev}
      fieldConfig={fieldConfig}
      noValue={fieldConfig.defaults.noValue}
      timeRange={timeRange}
      transparent={transparent}
      disableSanitizeHtml={false}
    />
  );
}
