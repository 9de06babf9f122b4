import { BarChart, LineChart } from 'echarts/charts';
import { GridComponent, LegendComponent, MarkLineComponent, TitleComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';

echarts.use([BarChart, LineChart, GridComponent, LegendComponent, MarkLineComponent, TitleComponent, SVGRenderer]);

/** How wide every chart is, in pixels. */
export const WIDTH = 760;

/** Draws what the options say, on white, without a browser. */
export function draw(height: number, options: echarts.EChartsCoreOption): string {
  const drawing = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  drawing.setOption({ animation: false, backgroundColor: '#ffffff', ...options });
  const svg = drawing.renderToSVGString();
  drawing.dispose();
  return `${svg}\n`;
}
