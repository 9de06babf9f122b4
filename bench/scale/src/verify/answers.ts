import type { Fault } from '../ledger/limit-oracle.ts';
import type { LedgerReport } from '../ledger/ledger.ts';
import { kinds } from '../load/traffic.ts';
import type { Check } from './check.ts';

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
  return counts.reduce((sum, count) => sum + count, 0).toLocaleString('en');
}
