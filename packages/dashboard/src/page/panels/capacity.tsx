import type { JSX } from 'preact';
import type { CapacityState, Panel as PanelState } from '../../snapshot.ts';
import { count } from '../format.ts';
import { Panel } from '../panel.tsx';

/** What each plan is made for; a target of null is no number. */
const targets = [
  { name: 'Free tier', users: 100, generations: 500, connections: 60 },
  { name: 'Pro tier', users: 1_000, generations: 5_000, connections: 500 },
  { name: 'Scale target', users: 10_000, generations: 50_000, connections: null },
] as const;

/** How much of each plan is used now. */
export function Capacity({ panel }: { readonly panel: PanelState<CapacityState> }): JSX.Element {
  return (
    <Panel title="Capacity" about="Now, beside what each plan is made for." panel={panel}>
      {({ users, generationsPerHour, connections, maxConnections }) => (
        <>
          <div class="scroll">
            <table>
              <thead>
                <tr>
                  <th scope="col">Metric</th>
                  <th scope="col" class="number">
                    Now
                  </th>
                  {targets.map(({ name }) => (
                    <th key={name} scope="col" class="number">
                      {name}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                <Line name="Concurrent users" now={users} targets={targets.map((target) => target.users)} />
                <Line
                  name="Generations/hour"
                  now={generationsPerHour}
                  targets={targets.map((target) => target.generations)}
                />
                <Line name="DB connections" now={connections} targets={targets.map((target) => target.connections)} />
              </tbody>
            </table>
          </div>
          <p class="about">
            Users called within five minutes (<code>api_call_logs</code>). The database allows {count(maxConnections)}{' '}
            connections; at scale they are pooled.
          </p>
        </>
      )}
    </Panel>
  );
}

interface LineProps {
  readonly name: string;
  readonly now: number;
  readonly targets: readonly (number | null)[];
}

function Line({ name, now, targets: planned }: LineProps): JSX.Element {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td class="number">
        <strong>{count(now)}</strong>
      </td>
      {planned.map((target, index) => (
        <td key={targets[index]?.name} class="number">
          {target === null ? 'pooled' : `${target.toLocaleString('en')}${index === 2 ? '+' : ''}`}
          {target === null ? null : <Share now={now} target={target} />}
        </td>
      ))}
    </tr>
  );
}

function Share({ now, target }: { readonly now: number; readonly target: number }): JSX.Element {
  const percent = Math.round((100 * now) / target);
  return <small class={percent > 100 ? 'bad' : ''}> {percent.toLocaleString('en')} %</small>;
}
