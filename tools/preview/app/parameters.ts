// What the driver asks for, in the page's address.

const query = new URLSearchParams(window.location.search);

export const parameters = {
  dashboard: query.get('dashboard') ?? '',
  from: query.get('from') ?? '',
  to: query.get('to') ?? '',
  theme: query.get('theme') === 'light' ? 'light' : 'dark',
  scrapeInterval: query.get('scrape') ?? '15s', // the data source's "Scrape interval" in Grafana
  expand: query.has('expand'), // collapsed rows are drawn open
  prometheus: query.get('prometheus') ?? '/prometheus',
} as const;

// var-slo=a&var-slo=b, as in Grafana's own addresses; undefined when the address is silent.
export function chosen(variable: string): string[] | undefined {
  const values = query.getAll(`var-${variable}`);
  return values.length > 0 ? values : undefined;
}
