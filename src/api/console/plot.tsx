import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { inUtc } from './format.ts';

const HEIGHT = 160;

/** A line over time. @param points pairs of seconds since the Unix epoch and a value */
export function Plot({
  title,
  unit,
  points,
}: {
  readonly title: string;
  readonly unit: string;
  readonly points: readonly (readonly [number, number])[];
}) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const utc = inUtc.value;
  const data: uPlot.AlignedData = [points.map(([at]) => at), points.map(([, value]) => value)];
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const colour = getComputedStyle(element);
    const ink = colour.getPropertyValue('--plot-ink');
    const grid = { stroke: colour.getPropertyValue('--plot-grid'), width: 1 };
    const axis = { stroke: colour.color, grid, ticks: grid, font: '11px system-ui' };
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        scales: { y: { range: (_plot, _least, most) => [0, Math.max(1, most * 1.1)] } },
        axes: [axis, { ...axis, size: 56 }],
        series: [{}, { stroke: ink, fill: `color-mix(in srgb, ${ink} 15%, transparent)`, width: 2 }],
        ...(utc && { tzDate: (at: number) => uPlot.tzDate(new Date(at * 1_000), 'Etc/UTC') }),
      },
      data,
      element,
    );
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
    };
  }, [utc]);
  plot.current?.setData(data);
  const last = points.at(-1)?.[1] ?? 0;
  const text = `${last < 10 ? last.toFixed(1) : Math.round(last)} ${unit}`;
  return (
    <figure class="plot">
      <figcaption>
        {title}: <strong>{text}</strong>
      </figcaption>
      <div ref={box} role="img" aria-label={`${title} over the last minutes, now ${text}`} />
    </figure>
  );
}
