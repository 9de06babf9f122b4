import type { LedgerReport } from '../ledger/ledger.ts';
import type { Garbled, PhaseTotals } from '../load/messages.ts';
import { GENERATE } from '../load/traffic.ts';
import type { Plan } from '../plan.ts';
import type { Books } from './books.ts';
import type { Check } from './check.ts';

/** What is looked at to tell whether the kills lost anything. */
export interface SurvivalOptions {
  readonly plan: Plan;
  /** At the end, when there was time to connect. */
  readonly connections: number;
  readonly phases: readonly PhaseTotals[];
  readonly garbled: Garbled;
  readonly ledger: LedgerReport;
  readonly books: Books;
}

/** Nothing that anybody was told has happened is gone, and everybody is back. */
export function checkSurvival({
  plan,
  connections,
  phases,
  garbled,
  ledger,
  books,
}: SurvivalOptions): readonly Check[] {
  const served = sum(phases, ({ outcomes, flood }) => outcomes[GENERATE].served + flood[GENERATE].served);
  // It may have been stored before the answer got lost, and may not.
  const uncertain = ledger.lost[GENERATE];
  const odd = sum(phases, ({ outcomes, flood }) =>
    [...outcomes, ...flood].reduce((total, each) => total + each.odd, 0),
  );
  const lost = ledger.lost.reduce((total, each) => total + each, 0);
  return [
    {
      name: 'Every generation that was answered is in Postgres',
      promised: `${count(served)} answered, ${uncertain} whose answer got lost`,
      found: `${count(books.generations)} rows`,
      passed: books.generations >= served && books.generations <= served + uncertain,
    },
    {
      name: 'The audit trail has no gap, no dead letter and nothing left on its way',
      promised: 'none',
      found: `${books.gaps} gaps, ${books.deadLetters} dead letters, ${books.onTheWay} events on their way`,
      passed: books.gaps === 0 && books.deadLetters === 0 && books.onTheWay === 0,
    },
    {
      name: 'After one API process and one worker were killed, every user is connected again',
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
  return items.reduce((total, item) => total + of(item), 0);
}

function count(number: number): string {
  return number.toLocaleString('en');
}
