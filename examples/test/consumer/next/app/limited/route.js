import { CircuitOpenError } from '@spillway/breaker';
import { applyRateLimit, breakers } from '../../lib/guard';

export const dynamic = 'force-dynamic';

export async function POST(request) {
  const refused = await applyRateLimit(request, 'generation', 'generate');
  if (refused) return refused;
  const call = breakers.run('service', 'down', () => Promise.reject(new Error('down')));
  return new Response(await call.catch((error) => (error instanceof CircuitOpenError ? 'refused' : error.message)));
}
