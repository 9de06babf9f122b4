import { deployFiles, deployText } from './deploy-file.ts';

/** What Grafana shows in one place. */
export interface Panel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly datasource: { readonly type: string; readonly uid: string };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets: readonly {
    readonly expr?: string;
    readonly rawSql?: string;
    readonly datasource: { readonly uid: string };
  }[];
}

/** A page of them. */
export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** All that deploy/ has. */
export async function readDashboards(): Promise<Dashboard[]> {
  const files = await deployFiles('grafana/dashboards', '.json');
  return Promise.all(files.map(async (file) => JSON.parse(await deployText(file)) as Dashboard));
}

/** As Grafana would send it for the last six hours, with its macros written out. */
export function withoutMacros(text: string): string {
  return text
    .replaceAll(/\$__timeFilter\(([^)]+)\)/gu, "$1 BETWEEN now() - interval '6 hours' AND now() + interval '1 minute'")
    .replaceAll('$__rate_interval', '1m');
}
