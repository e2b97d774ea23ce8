// templating.list of the JSON as scene variables; the page's address may choose their values.

import {
  ConstantVariable,
  CustomVariable,
  DataSourceVariable,
  IntervalVariable,
  QueryVariable,
  SceneVariable,
  TextBoxVariable,
} from '@grafana/scenes';
import type { Template } from './board';
import { chosen } from './parameters';
import { settings } from './prometheus';

const ALL = '$__all';

function isUnset(value: unknown): boolean {
  return value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0);
}

// The address first, then the JSON's current value, then Grafana's own choice (All, or the first value).
function selected(template: Template): { value: any; text: any } {
  const wanted = chosen(template.name);
  if (wanted) {
    const value = template.multi ? wanted : wanted[0];
    return { value, text: value };
  }
  const { value, text } = template.current ?? {};
  if (!isUnset(value)) {
    return { value, text: isUnset(text) ? value : text };
  }
  return template.includeAll && template.multi ? { value: [ALL], text: ['All'] } : { value: '', text: '' };
}

function common(template: Template) {
  return { name: template.name, label: template.label, hide: template.hide, ...selected(template) };
}

function several(template: Template) {
  return {
    ...common(template),
    isMulti: template.multi,
    includeAll: template.includeAll,
    defaultToAll: Boolean(template.includeAll),
    allValue: template.allValue ?? undefined,
  };
}

export function sceneVariable(template: Template): SceneVariable {
  const text = typeof template.query === 'string' ? template.query : '';
  switch (template.type) {
    case 'datasource':
      return new DataSourceVariable({
        ...several(template),
        pluginId: text,
        regex: template.regex ?? '',
        value: settings.uid,
        text: settings.name,
      });
    case 'query':
      return new QueryVariable({
        ...several(template),
        query: template.query as any,
        datasource: template.datasource ?? null,
        regex: template.regex ?? '',
        sort: template.sort,
        refresh: template.refresh,
      });
    case 'custom':
      return new CustomVariable({ ...several(template), query: text });
    case 'interval':
      return new IntervalVariable({
        ...common(template),
        intervals: text.split(',').map((one) => one.trim()).filter((one) => one !== 'auto'),
      });
    case 'textbox':
      return new TextBoxVariable(common(template));
    case 'constant':
      return new ConstantVariable({ name: template.name, hide: template.hide, value: text });
    default:
      throw new Error(`the preview knows no variable of type ${template.type} (${template.name})`);
  }
}
