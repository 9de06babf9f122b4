import type { LedgerReport } from '../load/ledger.ts';
import type { Fault } from '../load/limit-oracle.ts';
import type { Garbled, PhaseTotals } from '../load/messages.ts';
import { GENERATE, kinds, type Plan } from '../plan.ts';
import type { Check } from './capacity.ts';
import type { StoredRows } from './stored-rows.ts';

/** What users were answered, against what the policies promise them. */
export function checkAnswers(ledger: LedgerReport): readonly Check[] {
  return [
    faultCheck(ledger, {
      name: 'No user ever got more than the limit in any trailing window',
      promised: `${total(ledger.admitted)} admissions without a fault`,
      faults: ['over-limit', 'admitted-while-blocked'],
    }),
    faultCheck(ledger, {
      name: 'Nobody within limits was refused',
      promised: `${total(ledger.refused)} refusals without a fault`,
      faults: ['refused-within-limit'],
    }),
  ];
}

interface FaultCheck {
  readonly name: string;
  readonly promised: string;
  readonly faults: readonly Fault[];
}

function faultCheck(ledger: LedgerReport, { name, promised, faults }: FaultCheck): Check {
  const found = ledger.faults.filter(({ fault }) => faults.includes(fault));
  // Beyond the first hundred only their number is known, not their kind.
  const more = ledger.faultCount > ledger.faults.length ? ' or more' : '';
  return {
    name,
    promised,
    found: `${found.length}${more} faults`,
    passed: found.length === 0,
    details: found
      .slice(0, 20)
      .map(
        ({ fault, user, kind, sentMs, receivedMs }) =>
          `${fault}: user ${user}, ${kinds[kind].title}, sent ${sentMs}, answered ${receivedMs}`,
      ),
  };
}

function total(counts: readonly number[]): string {
  return count(sum(counts, (each) => each));
}

/** What is looked at to tell whether the kills lost anything. */
export interface SurvivalOptions {
  readonly plan: Plan;
  /** At the end, when there was time to connect. */
  readonly connections: number;
  readonly phases: readonly PhaseTotals[];
  readonly garbled: Garbled;
  readonly ledger: LedgerReport;
  readonly rows: StoredRows;
}

/** Everything that was reported to users is stored, and all users are connected again. */
export function checkSurvival({ plan, connections, phases, garbled, ledger, rows }: SurvivalOptions): readonly Check[] {
  const served = sum(phases, ({ outcomes, flood }) => outcomes[GENERATE].served + flood[GENERATE].served);
  // It may have been stored before the answer got lost, and may not.
  const uncertain = ledger.lost[GENERATE];
  const odd = sum(phases, ({ outcomes, flood }) =>
    [...outcomes, ...flood].reduce((soFar, each) => soFar + each.odd, 0),
  );
  const lost = ledger.lost.reduce((soFar, each) => soFar + each, 0);
  return [
    {
      name: 'Every generation that was answered is in Postgres',
      promised: `${count(served)} answered, ${uncertain} whose answer got lost`,
      found: `${count(rows.generations)} rows`,
      passed: rows.generations >= served && rows.generations <= served + uncertain,
    },
    {
      name: 'The audit trail has no gap, no dead letter and nothing left on its way',
      promised: 'none',
      found: `${rows.gaps.length} gaps, ${rows.deadLetters} dead letters, ${rows.onTheWay} events on their way`,
      passed: rows.gaps.length === 0 && rows.deadLetters === 0 && rows.onTheWay === 0,
      details: rows.gaps,
    },
    {
      name:
        plan.soak === undefined
          ? 'After one application process and one worker were killed, every user is connected again'
          : 'Every user is connected at the end',
      promised: `${count(plan.profile.users)} users`,
      found: `${count(connections)} connected at the end; ${lost} answers were lost with the process`,
      passed: connections === plan.profile.users,
    },
    {
      name: 'Every other request got an answer that a route gives',
      promised: 'none of another status, nothing that is no answer',
      found: `${odd} of another status, ${garbled.count} that could not be read or that nobody asked for`,
      passed: odd === 0 && garbled.count === 0,
      details: garbled.examples,
    },
  ];
}

function sum<Item>(items: readonly Item[], of: (item: Item) => number): number {
  return items.reduce((soFar, item) => soFar + of(item), 0);
}

function count(number: number): string {
  return number.toLocaleString('en');
}
