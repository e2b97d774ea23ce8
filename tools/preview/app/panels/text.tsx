import { PanelProps, renderTextPanelMarkdown } from '@grafana/data';

export function TextPanel({ options, replaceVariables }: PanelProps) {
  const content = replaceVariables(String(options.content ?? ''));
  const html = options.mode === 'html' ? content : renderTextPanelMarkdown(content);
  return (
    <div
      className="markdown-html"
      style={{ height: '100%', overflow: 'auto' }}
      dangerouslySetInnerHTML={{ __html: html }}
    />
  );
}
