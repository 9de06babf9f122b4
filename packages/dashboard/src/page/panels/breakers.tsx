import type { JSX } from 'preact';
import type { BreakerState, Panel as PanelState } from '../../snapshot.ts';
import { type Answer, send } from '../api.ts';
import { Confirm } from '../confirm.tsx';
import { count, rate, relative } from '../format.ts';
import { Nothing, Panel } from '../panel.tsx';

interface BreakersProps {
  readonly panel: PanelState<readonly BreakerState[]>;
  readonly nowMs: number;
  readonly mayChange: boolean;
}

/** Every breaker that had an event: its state, its failures, and what can be done about it. */
export function Breakers({ panel, nowMs, mayChange }: BreakersProps): JSX.Element {
  return (
    <Panel title="Circuit breakers" about="Those that are not closed first." panel={panel} wide>
      {(breakers) =>
        breakers.length === 0 ? (
          <Nothing>No breaker has ever opened or seen a failure.</Nothing>
        ) : (
          <div class="scroll">
            <table>
              <thead>
                <tr>
                  <th scope="col">Breaker</th>
                  <th scope="col">State</th>
                  <th scope="col">Next probe</th>
                  <th scope="col" class="number">
                    Failures
                  </th>
                  <th scope="col" class="number">
                    A minute
                  </th>
                  <th scope="col" class="number">
                    Openings
                  </th>
                  <th scope="col">Last error</th>
                  {mayChange ? <th scope="col">Change</th> : null}
                </tr>
              </thead>
              <tbody>
                {breakers.map((breaker) => (
                  <Row
                    key={`${breaker.preset}/${breaker.breakerName}`}
                    breaker={breaker}
                    nowMs={nowMs}
                    mayChange={mayChange}
                  />
                ))}
              </tbody>
            </table>
          </div>
        )
      }
    </Panel>
  );
}

interface RowProps extends Omit<BreakersProps, 'panel'> {
  readonly breaker: BreakerState;
}

function Row({ breaker, nowMs, mayChange }: RowProps): JSX.Element {
  const { breakerName, preset, state, sinceMs, failures, failuresPerMinute, openings, lastError } = breaker;
  return (
    <tr>
      <td>
        {breakerName} <span class="tag">{preset}</span>
      </td>
      <td>
        <span class={`state ${state}`}>{state.replace('_', ' ')}</span>
        {sinceMs === null ? null : <small> since {relative(sinceMs, nowMs)}</small>}
      </td>
      <td>{nextProbe(breaker, nowMs)}</td>
      <td class="number">{count(failures)}</td>
      <td class="number">{rate(failuresPerMinute)}</td>
      <td class="number">{count(openings)}</td>
      <td class="long" title={lastError ?? ''}>
        {lastError ?? '–'}
      </td>
      {mayChange ? (
        <td class="buttons">
          <Choices breaker={breaker} />
        </td>
      ) : null}
    </tr>
  );
}

function nextProbe({ state, untilMs }: BreakerState, nowMs: number): string {
  switch (state) {
    case 'open':
      return untilMs === null ? 'not known' : untilMs <= nowMs ? 'with the next call' : relative(untilMs, nowMs);
    case 'half_open':
      return 'probing';
    case 'forced_open':
    case 'forced_closed':
      return untilMs === null ? 'when somebody ends it' : relative(untilMs, nowMs);
    default:
      return '–';
  }
}

/** What can be done: forcing asks for a reason, and giving back to automatic ends it. */
function Choices({ breaker }: { readonly breaker: BreakerState }): JSX.Element {
  const { breakerName, preset, state } = breaker;
  const name = `${preset}/${breakerName}`;
  const put = (action: string, why: string): Promise<Answer> =>
    send('PUT', `/v1/breakers/${encodeURIComponent(breakerName)}`, {
      preset,
      state: action,
      ...(why === '' ? {} : { why }),
    });
  return (
    <>
      {state === 'forced_open' ? null : (
        <Confirm
          label="Force open"
          danger
          askWhy
          question={`Refuse every call through ${name}, in the whole fleet, until somebody ends it?`}
          act={(why) => put('forced_open', why)}
        />
      )}
      {state === 'forced_closed' ? null : (
        <Confirm
          label="Force closed"
          danger
          askWhy
          question={`Let every call through ${name}, whatever fails, until somebody ends it?`}
          act={(why) => put('forced_closed', why)}
        />
      )}
      {state === 'closed' ? null : (
        <Confirm
          label="Automatic"
          askWhy
          question={`Close ${name} and let it decide by itself again?`}
          act={(why) => put('auto', why)}
        />
      )}
    </>
  );
}
