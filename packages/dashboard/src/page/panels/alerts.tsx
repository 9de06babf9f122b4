import type { JSX } from 'preact';
import type { AlertState, Panel } from '../../snapshot.ts';
import { count, relative } from '../format.ts';

interface AlertsProps {
  readonly panel: Panel<readonly AlertState[]>;
  readonly nowMs: number;
}

/** Thresholds that are crossed; nothing while all is well. */
export function Alerts({ panel, nowMs }: AlertsProps): JSX.Element | null {
  if (panel.kind === 'failed' || panel.data.length === 0) return null;
  return (
    <section class="alerts wide" role="alert" aria-label="Alerts">
      <ul>
        {panel.data.map(({ rule, value, threshold, openedAtMs }) => (
          <li key={rule}>
            <strong>{rule.replaceAll('_', ' ')}</strong>: {count(value)}, where {count(threshold)} is the threshold;
            since {relative(openedAtMs, nowMs)}
          </li>
        ))}
      </ul>
    </section>
  );
}
