// Links of panels, in their title; links of the board, beside its variables.

import { sceneGraph, SceneObject, SceneObjectBase, SceneObjectState } from '@grafana/scenes';
import { Icon, LinkButton, PanelChrome, Tooltip } from '@grafana/ui';
import type { Link } from './board';

interface LinksState extends SceneObjectState {
  links: Link[];
}

export class PanelLinks extends SceneObjectBase<LinksState> {
  static Component = ({ model }: { model: PanelLinks }) => {
    const { links } = model.useState();
    const [first] = links;
    const icon = links.length > 1 ? 'link' : 'external-link-alt';
    const title = sceneGraph.interpolate(model, first.title, undefined, 'text');
    return (
      <Tooltip content={title}>
        <PanelChrome.TitleItem href={sceneGraph.interpolate(model, first.url)}>
          <Icon name={icon} size="md" />
        </PanelChrome.TitleItem>
      </Tooltip>
    );
  };
}

export function BoardLinks({ links, scene }: { links: Link[]; scene: SceneObject }) {
  return (
    <>
      {links.map((link, index) => (
        <LinkButton
          key={index}
          variant="secondary"
          size="md"
          icon={link.type === 'dashboards' ? 'apps' : 'external-link-alt'}
          href={sceneGraph.interpolate(scene, link.url ?? '')}
          tooltip={link.tooltip}
        >
          {sceneGraph.interpolate(scene, link.title || (link.tags ?? []).join(', '), undefined, 'text')}
        </LinkButton>
      ))}
    </>
  );
}
