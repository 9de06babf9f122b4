import type { JSX } from 'preact';
import type { BlockedState, Panel as PanelState } from '../../snapshot.ts';
import { send } from '../api.ts';
import { Confirm } from '../confirm.tsx';
import { count, relative } from '../format.ts';
import { Nothing, Panel } from '../panel.tsx';

interface BlockedProps {
  readonly panel: PanelState<readonly BlockedState[]>;
  readonly nowMs: number;
  readonly mayChange: boolean;
}

/** Who was blocked: those that are first, then by how much was refused. */
export function Blocked({ panel, nowMs, mayChange }: BlockedProps): JSX.Element {
  return (
    <Panel title="Blocked subjects" about="Running blocks first, then by refused requests." panel={panel} wide>
      {(subjects) =>
        subjects.length === 0 ? (
          <Nothing>Nobody was blocked in this time, and nobody is.</Nothing>
        ) : (
          <div class="scroll">
            <table>
              <thead>
                <tr>
                  <th scope="col">Subject</th>
                  <th scope="col">Tier</th>
                  <th scope="col">Action</th>
                  <th scope="col" class="number">
                    Blocks
                  </th>
                  <th scope="col" class="number">
                    Refused
                  </th>
                  <th scope="col">Until</th>
                  {mayChange ? <th scope="col">Change</th> : null}
                </tr>
              </thead>
              <tbody>
                {subjects.map((subject) => (
                  <Row key={keyOf(subject)} subject={subject} nowMs={nowMs} mayChange={mayChange} />
                ))}
              </tbody>
            </table>
          </div>
        )
      }
    </Panel>
  );
}

function keyOf({ identifier, tier, action, mode }: BlockedState): string {
  return JSON.stringify([identifier, tier, action, mode]);
}

interface RowProps extends Omit<BlockedProps, 'panel'> {
  readonly subject: BlockedState;
}

function Row({ subject, nowMs, mayChange }: RowProps): JSX.Element {
  const { identifier, tier, action, mode, blocks, deniedCount, blockedUntilMs, active } = subject;
  const unblock = () => send('POST', `/v1/limits/${encodeURIComponent(tier)}/unblock`, { subject: identifier, action });
  return (
    <tr>
      <td class="long" title={identifier}>
        <code>{identifier}</code>
      </td>
      <td>
        {tier}
        {mode === 'shadow' ? <span class="tag">shadow</span> : null}
      </td>
      <td>{action}</td>
      <td class="number">{count(blocks)}</td>
      <td class="number">{count(deniedCount)}</td>
      <td class={active ? 'bad' : ''}>
        {blockedUntilMs === null ? 'for ever' : active ? relative(blockedUntilMs, nowMs) : 'over'}
      </td>
      {mayChange ? (
        <td>
          {active ? (
            <Confirm label="Unblock" question={`Unblock ${identifier} for ${action} under ${tier}?`} act={unblock} />
          ) : null}
        </td>
      ) : null}
    </tr>
  );
}
