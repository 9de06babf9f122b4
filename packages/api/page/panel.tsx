import type { ComponentChildren, JSX } from 'preact';
import type { Panel as PanelState } from '../src/dashboard/snapshot-shape.ts';

interface PanelProps<Data> {
  readonly title: string;
  /** One sentence that says what is counted. */
  readonly about?: string;
  readonly panel: PanelState<Data>;
  readonly wide?: boolean;
  readonly children: (data: Data) => ComponentChildren;
}

/** A part of the board: its figures, or in words why there are none. */
export function Panel<Data>({ title, about, panel, wide = false, children }: PanelProps<Data>): JSX.Element {
  const id = `panel-${title.toLowerCase().replaceAll(' ', '-')}`;
  return (
    <section class={wide ? 'panel wide' : 'panel'} aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {about === undefined ? null : <p class="about">{about}</p>}
      {panel.kind === 'ready' ? (
        children(panel.data)
      ) : (
        <p class="bad" role="alert">
          These figures can’t be shown: {panel.reason}
        </p>
      )}
    </section>
  );
}

/** What a part says when there is nothing to show. */
export function Nothing({ children }: { readonly children: ComponentChildren }): JSX.Element {
  return <p class="nothing">{children}</p>;
}
