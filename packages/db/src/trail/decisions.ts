import { type NewRow, unnestCall } from '../query/unnest-insert.ts';
import { decisionReports } from '../schema/trail.ts';

/** How many decisions of one policy fell one way in one process, as a row of `spillway.decision_reports`. */
export type DecisionReportRow = NewRow<typeof decisionReports>;

/**
 * Stores reports and adds those that are new to `decision_counts` and `decision_counts_hourly`, in one statement: a report that
 * comes again counts nothing. Returns how many were new.
 * Rejects with pg's error and counts nothing when one row is bad.
 */
export const addDecisions = unnestCall('spillway.add_decisions', decisionReports);
