import { migrate } from '@spillway/db';
import { usePostgres } from '@spillway/local-servers/testing';

/** A migrated database of its own for each test. */
export function useMigratedPostgres(): ReturnType<typeof usePostgres> {
  return usePostgres({
    migrate: async (url) => {
      await migrate({ connectionString: url });
    },
    template: 'worker',
    scope: 'test',
  });
}
