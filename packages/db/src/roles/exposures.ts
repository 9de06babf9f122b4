import { publicFunctions, roleNames } from './privileges.ts';
import type { Connection, Queryable } from '../connection.ts';

/** A role that has a right on an object of Spillway's, and is neither its owner nor one of the four roles. */
export interface Exposure {
  /** `TABLE public.rate_limits_v2`, `FUNCTION public.record_metric(…)`, `SCHEMA spillway`. */
  readonly object: string;
  /** A role's name; `PUBLIC` is every role. */
  readonly grantee: string;
  /** `INSERT, SELECT`; `no row level security` for a table of an exposed schema without it. */
  readonly privileges: string;
}

/**
 * Spillway's objects: all of schema `spillway`, the tables with its policy in other schemas and their partitions, and the two
 * functions of the guide. Superusers and roles that bypass row level security (Supabase's service_role) can't be kept out by
 * privileges, and are not looked at.
 */
const EXPOSURES = `
  WITH made AS (
    SELECT polrelid AS oid FROM pg_policy WHERE polname = 'spillway'
    UNION SELECT part.relid FROM pg_policy CROSS JOIN LATERAL pg_partition_tree(polrelid) AS part WHERE polname = 'spillway'
    UNION SELECT oid FROM pg_class WHERE relnamespace = to_regnamespace('spillway') AND relkind IN ('r', 'p', 'v', 'm', 'S')
  ), objects AS (
    SELECT format('SCHEMA %I', nspname) AS object, nspowner AS owner, coalesce(nspacl, acldefault('n', nspowner)) AS acl
    FROM pg_namespace WHERE nspname = 'spillway'
    UNION ALL
    SELECT format('%s %I.%I', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, n.nspname, c.relname), c.relowner,
           coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN made ON made.oid = c.oid
    UNION ALL
    SELECT format('FUNCTION %I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)), p.proowner,
           coalesce(p.proacl, acldefault('f', p.proowner))
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'spillway' OR p.oid = ANY (SELECT to_regprocedure(name) FROM unnest($2::text[]) AS ours (name))
  )
  SELECT object, coalesce(quote_ident(r.rolname), 'PUBLIC') AS grantee,
         string_agg(DISTINCT acl.privilege_type, ', ' ORDER BY acl.privilege_type) AS privileges
  FROM objects CROSS JOIN LATERAL aclexplode(objects.acl) AS acl LEFT JOIN pg_roles r ON r.oid = acl.grantee
  WHERE acl.grantee <> objects.owner
    AND (r.oid IS NULL OR NOT (r.rolname = ANY ($1) OR r.rolsuper OR r.rolbypassrls))
  GROUP BY 1, 2
  ORDER BY 1, 2`;

const UNPROTECTED = `
  SELECT format('TABLE %I.%I', n.nspname, c.relname) AS object, 'PUBLIC' AS grantee, 'no row level security' AS privileges
  FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE p.polname = 'spillway' AND NOT c.relrowsecurity ORDER BY 1`;

/** All objects of Spillway's in this database on which a role has a right that it should not have. */
export async function listExposures(db: Queryable): Promise<Exposure[]> {
  const granted = await db.query<Exposure>(EXPOSURES, [[...roleNames], [...publicFunctions]]);
  const unprotected = await db.query<Exposure>(UNPROTECTED);
  return [...granted.rows, ...unprotected.rows];
}

/** Takes away what this user may take away, and returns what is left. */
export async function closeExposures(connection: Connection): Promise<Exposure[]> {
  const found = await listExposures(connection);
  for (const { object, grantee, privileges } of found) {
    const statement =
      privileges === 'no row level security'
        ? `ALTER ${object} ENABLE ROW LEVEL SECURITY`
        : `REVOKE ALL ON ${object} FROM ${grantee} CASCADE`;
    // Another's object: it is reported.
    await connection.query(`DO $do$ BEGIN ${statement}; EXCEPTION WHEN insufficient_privilege THEN NULL; END $do$`);
  }
  return found.length === 0 ? [] : listExposures(connection);
}
