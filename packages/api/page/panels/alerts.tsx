import type { JSX } from 'preact';
import type { AlertState, Panel } from '../../src/dashboard/snapshot-shape.ts';
import { amount } from '../format.ts';
import { Since } from '../time.tsx';

interface AlertsProps {
  readonly panel: Panel<readonly AlertState[]>;
  readonly nowMs: number;
}

/** Thresholds that are crossed; nothing while all is well. Only a change of which ones is announced, not that time goes by. */
export function Alerts({ panel, nowMs }: AlertsProps): JSX.Element {
  const alerts = panel.kind === 'ready' ? panel.data : [];
  const names = alerts.map(({ rule }) => nameOf(rule)).join(', ');
  return (
    <>
      <p role="alert" class="hidden">
        {names === '' ? '' : `Alerts: ${names}`}
      </p>
      {panel.kind === 'failed' ? (
        <p class="alerts wide">Alerts can’t be shown: {panel.reason}</p>
      ) : alerts.length === 0 ? null : (
        <section class="alerts wide" aria-label="Alerts">
          <ul>
            {alerts.map(({ rule, value, threshold, side, unit, openedAtMs, runbook }) => (
              <li key={rule}>
                <strong>{nameOf(rule)}</strong> is {amount(value, unit)}, {side} {amount(threshold, unit)}, for{' '}
                <Since atMs={openedAtMs} nowMs={nowMs} />
                {runbook === null ? null : (
                  <>
                    {' · '}
                    <a
                      href={`/dashboard/runbooks#${encodeURIComponent(runbook)}`}
                      target="_blank"
                      rel="noopener"
                      aria-label={`Runbook: ${nameOf(rule)} (in a new tab)`}
                    >
                      Runbook
                    </a>
                  </>
                )}
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

/** `audit_dead_letters` → `Audit dead letters`. */
function nameOf(rule: string): string {
  const words = rule.replaceAll('_', ' ');
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`;
}
