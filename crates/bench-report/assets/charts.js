'use strict';
// Draws the charts. An option is JSON in which {"$fn": name} stands for a function of `functions`, and
// {"$colour": n}, {"$dash": n}, {"$symbol": n} for what the theme has at that place.
globalThis.reportCharts = (() => {
  // Without quotes, which would end an attribute of an SVG file.
  const fonts = 'Liberation Sans, Arial, sans-serif';

  const themes = {
    light: {
      text: '#1f2933', faint: '#52606d', grid: '#d9dee3', ground: '#ffffff',
      colours: ['#0072b2', '#c04f00', '#007d5c', '#a8487f', '#8a6a00', '#2f4b9b', '#6b3fa0', '#4b4b4b'],
      heat: ['#e3eef7', '#bdd7ea', '#8fbcdc', '#5c9bc9', '#2f78b0', '#15558c', '#0a3a66', '#041f3b'],
    },
    dark: {
      text: '#e4e7eb', faint: '#a3b0bd', grid: '#39424c', ground: '#14181d',
      colours: ['#56b4e9', '#ff9d5c', '#3ddbab', '#eaa6cf', '#f0c24b', '#a9b8ff', '#cfa8ff', '#d0d0d0'],
      heat: ['#10283d', '#143c5e', '#1a5482', '#2471a8', '#3a93cb', '#67b5e3', '#a2d4f2', '#e2f3fd'],
    },
  };
  const dashes = ['solid', [7, 3], [2, 2], [10, 3, 2, 3], [4, 4], [12, 4], [2, 5], [6, 2, 2, 2, 2, 2]];
  const symbols = ['circle', 'rect', 'triangle', 'diamond', 'pin', 'roundRect', 'arrow', 'circle'];
  const at = (list, index) => list[index % list.length];

  // Three digits, as the tools show figures.
  const digits = (value) => {
    const size = Math.abs(value);
    return value.toFixed(size === 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
  };
  const scaled = (value, steps) => {
    let [divisor, unit] = steps[0];
    for (const [next, name] of steps) {
      if (Math.abs(value) >= next * 0.9995) [divisor, unit] = [next, name];
    }
    return digits(value / divisor) + unit;
  };
  const bare = (text) => text.replace(/(\.\d*?)0+(?=\D|$)/, '$1').replace(/\.(?=\D|$)/, '');
  const formats = {
    duration: (ns) => ns === 0 ? '0 s' : scaled(ns, [[1, ' ns'], [1e3, ' us'], [1e6, ' ms'], [1e9, ' s']]),
    microseconds: (us) => scaled(us * 1e3, [[1, ' ns'], [1e3, ' us'], [1e6, ' ms'], [1e9, ' s']]),
    seconds: (s) => `${Number(s.toFixed(1))} s`,
    rate: (rate) => scaled(rate, [[1, ' /s'], [1e3, ' k/s'], [1e6, ' M/s'], [1e9, ' G/s']]),
    bytes: (size) => scaled(size, [[1, ' B'], [1e3, ' kB'], [1e6, ' MB'], [1e9, ' GB']]),
    byteRate: (rate) => scaled(rate, [[1, ' B/s'], [1e3, ' kB/s'], [1e6, ' MB/s'], [1e9, ' GB/s']]),
    count: (count) => scaled(count, [[1, ''], [1e3, ' k'], [1e6, ' M'], [1e9, ' G']]),
    share: (share) => `${digits(share * 100)} %`,
    change: (ratio) => {
      const percent = (ratio - 1) * 100;
      return `${percent > 0 ? '+' : ''}${digits(percent)} %`;
    },
    // From 1 / (1 - q).
    tail: (x) => {
      if (x <= 1) return 'p0';
      const percent = 100 * (1 - 1 / x);
      return `p${Number(percent.toFixed(Math.max(0, Math.ceil(Math.log10(x)) - 1)))}`;
    },
  };
  const shown = (unit, value) => (value == null ? '-' : formats[unit](value));

  // What a tooltip lists at most.
  const LINES_MAX = 14;

  const functions = {
    pointer: ({ unit }) => ({ value }) => shown(unit, value),
    tooltip: ({ x, y }) => (items) => {
      const rows = [];
      for (const { seriesName, value } of items) {
        const row = [seriesName, value[1]];
        if (seriesName && value[1] != null && !rows.some((r) => r[0] === row[0] && r[1] === row[1])) {
          rows.push(row);
        }
      }
      rows.sort((a, b) => b[1] - a[1]);
      const more = rows.length - LINES_MAX;
      const text = rows.slice(0, LINES_MAX).map(([name, value]) => `${shortened(name)}  ${shown(y, value)}`);
      if (more > 0) text.push(`and ${more} more`);
      return [shown(x, items[0].axisValue), ...text].join('\n');
    },
    itemTooltip: ({ x }) => ({ seriesName, name, value }) => {
      if (seriesName === 'interval') {
        const high = value[1] == null ? 'or more' : `to ${shown(x, value[1])}`;
        return `${shortened(name)}\n${shown(x, value[0])} ${high}`;
      }
      return `${shortened(name)}\n${seriesName === 'runs' ? 'one run' : 'middle'}  ${shown(x, value[0])}`;
    },
    whisker: () => (params, api) => {
      const area = params.coordSys;
      const row = api.value(2);
      const [left, y] = api.coord([api.value(0), row]);
      const high = api.value(1);
      const isOpen = !(high === high && high != null);
      const right = isOpen ? area.x + area.width : api.coord([high, row])[0];
      const style = { stroke: api.visual('color'), lineWidth: 2, fill: null };
      const line = (x1, y1, x2, y2) => ({ type: 'line', shape: { x1, y1, x2, y2 }, style });
      const ends = isOpen ? [] : [line(right, y - 6, right, y + 6)];
      return { type: 'group', children: [line(left, y, right, y), line(left, y - 6, left, y + 6), ...ends] };
    },
    band: ({ points }) => (params, api) => {
      const upper = points.map(([x, , high]) => api.coord([x, high]));
      const lower = points.map(([x, low]) => api.coord([x, low])).reverse();
      return {
        type: 'polygon', silent: true,
        shape: { points: [...upper, ...lower] },
        style: { fill: api.visual('color'), opacity: 0.16 },
      };
    },
    // One shape per colour: thousands of single cells would take seconds.
    heat: ({ columns, rows, cells }, theme) => {
      const largest = cells.reduce((most, [, , count]) => Math.max(most, count), 1);
      const shade = (count) => {
        const share = Math.log1p(count) / Math.log1p(largest);
        return Math.min(theme.heat.length - 1, Math.floor(share * theme.heat.length));
      };
      return (params, api) => {
        const x = columns.map((edge) => Math.round(api.coord([edge, rows[0]])[0]));
        const y = rows.map((edge) => Math.round(api.coord([columns[0], edge])[1]));
        const paths = theme.heat.map(() => []);
        for (const [column, row, count] of cells) {
          const [left, right] = [x[column], x[column + 1]];
          const [low, high] = [y[row], y[row + 1]];
          paths[shade(count)].push(`M${left} ${low}H${right}V${high}H${left}Z`);
        }
        const children = paths.map((path, index) => ({
          type: 'path', silent: true, shape: { pathData: path.join('') },
          style: { fill: theme.heat[index] },
        }));
        const area = params.coordSys;
        const clip = { x: area.x, y: area.y, width: area.width, height: area.height };
        return {
          type: 'group', silent: true,
          children: children.filter((child) => child.shape.pathData !== ''),
          clipPath: { type: 'rect', shape: clip },
        };
      };
    },
  };
  for (const [name, format] of Object.entries(formats)) {
    functions[name] = () => (value) => bare(format(value));
  }

  const NAME_MAX = 60;
  const shortened = (name) => (name.length > NAME_MAX ? `${name.slice(0, NAME_MAX - 1)}…` : name);

  // What an option stands for under a theme, at a width.
  const revived = (json, theme, width) => {
    if (Array.isArray(json)) return json.map((item) => revived(item, theme, width));
    if (json === null || typeof json !== 'object') return json;
    if ('$fn' in json) return functions[json.$fn](json, theme);
    if ('$colour' in json) return json.$colour === 'text' ? theme.text : at(theme.colours, json.$colour);
    if ('$dash' in json) return at(dashes, json.$dash);
    if ('$symbol' in json) return at(symbols, json.$symbol);
    const object = {};
    for (const [key, value] of Object.entries(json)) {
      if (key === '$labels') {
        object.width = width < 480 ? 130 : 240;
        object.overflow = 'truncate';
        object.ellipsis = '…';
      } else {
        object[key] = revived(value, theme, width);
      }
    }
    return object;
  };

  // How axes and tooltips look under a theme.
  const dressed = (option, theme) => {
    for (const axis of [option.xAxis, option.yAxis]) {
      axis.nameTextStyle = { ...axis.nameTextStyle, color: theme.faint, fontSize: 12 };
      axis.axisLabel = { ...axis.axisLabel, color: theme.text, fontSize: 12 };
      axis.axisLine = { show: true, lineStyle: { color: theme.faint } };
      axis.splitLine = { show: axis.type !== 'category', lineStyle: { color: theme.grid } };
      axis.minorSplitLine = { show: false };
    }
    option.tooltip = {
      backgroundColor: theme.ground, borderColor: theme.faint, borderWidth: 1, padding: 8,
      textStyle: { color: theme.text, fontSize: 12 }, ...option.tooltip,
    };
    for (const bar of option.dataZoom ?? []) {
      if (bar.type !== 'slider') continue;
      bar.borderColor = theme.grid;
      bar.fillerColor = `${theme.colours[0]}33`;
      bar.handleStyle = { color: theme.ground, borderColor: theme.faint };
      bar.moveHandleStyle = { color: theme.faint };
      bar.textStyle = { color: theme.text };
    }
    option.textStyle = { fontFamily: fonts, color: theme.text };
    return option;
  };

  // A program that only makes pictures has no page.
  const data = typeof document === 'undefined' ? [] : JSON.parse(document.getElementById('charts').textContent);
  const drawn = new Map();

  const draw = (plot, themeName) => {
    const { option, height, linked } = data[plot.dataset.chart];
    const before = drawn.get(plot);
    let kept = {};
    if (before) {
      const state = before.chart.getOption();
      kept = { zoom: state.dataZoom?.[0], selected: state.legend?.[0]?.selected };
      before.chart.dispose();
    }
    plot.style.height = `${height}px`;
    const theme = themes[themeName];
    const chart = echarts.init(plot, null, { renderer: 'svg' });
    const whole = dressed(revived(option, theme, plot.clientWidth), theme);
    if (kept.selected) whole.legend.selected = kept.selected;
    chart.setOption(whole);
    if (linked) {
      chart.group = linked;
      echarts.connect(linked);
      if (kept.zoom) zoomTo(chart, kept.zoom.start, kept.zoom.end);
    }
    drawn.set(plot, { chart, themeName });
    return chart;
  };

  const zoomTo = (chart, start, end) => {
    const [from, to] = [Math.max(0, start), Math.min(100, end)];
    chart.dispatchAction({ type: 'dataZoom', dataZoomIndex: 0, start: from, end: to });
  };

  // A key on a chart that zooms; whether it was one.
  const key = (plot, name) => {
    const chart = drawn.get(plot)?.chart;
    const zoom = chart?.getOption().dataZoom?.[0];
    if (!zoom) return false;
    const { start, end } = zoom;
    const width = end - start;
    switch (name) {
      case '+': case '=': zoomTo(chart, start + width / 4, end - width / 4); return true;
      case '-': zoomTo(chart, start - width / 2, end + width / 2); return true;
      case '0': zoomTo(chart, 0, 100); return true;
      case 'ArrowLeft': {
        const step = Math.min(start, width / 5);
        zoomTo(chart, start - step, end - step);
        return true;
      }
      case 'ArrowRight': {
        const step = Math.min(100 - end, width / 5);
        zoomTo(chart, start + step, end + step);
        return true;
      }
      default: return false;
    }
  };

  // What a heat map has below the pointer, in words.
  const below = (plot, x, y) => {
    const { option } = data[plot.dataset.chart];
    const heat = option.series.find((series) => series.renderItem?.$fn === 'heat')?.renderItem;
    const chart = drawn.get(plot)?.chart;
    if (!heat || !chart?.containPixel('grid', [x, y])) return '';
    const [time, value] = chart.convertFromPixel('grid', [x, y]);
    const column = heat.columns.findLastIndex((edge) => edge <= time);
    const row = heat.rows.findLastIndex((edge) => edge <= value);
    const cell = heat.cells.find((cell) => cell[0] === column && cell[1] === row);
    const all = heat.cells.reduce((sum, cell) => sum + (cell[0] === column ? cell[2] : 0), 0);
    const samples = cell ? `${cell[2]} of ${all} samples` : 'no samples';
    return `${formats.seconds(heat.columns[column])} to ${formats.seconds(heat.columns[column + 1])}, `
      + `${shown(heat.unit, heat.rows[row])} to ${shown(heat.unit, heat.rows[row + 1])}: ${samples}`;
  };

  // The points of a chart as rows of a table.
  const rows = (index) => {
    const { option } = data[index];
    const unit = (axis) => axis.axisPointer?.label.formatter.unit ?? 'count';
    const [x, y] = [unit(option.xAxis), unit(option.yAxis)];
    const head = ['line', option.xAxis.name, option.yAxis.name];
    const points = option.series
      .filter((series) => series.type === 'line' && series.name)
      .flatMap((series) => series.data.map((point) => [series.name, shown(x, point[0]), shown(y, point[1])]));
    if (points.length > 0) return [head, points];
    const heat = option.series[0].renderItem;
    if (heat?.$fn !== 'heat') return [head, []];
    const span = (unitName, edges, place) => `${shown(unitName, edges[place])} to ${shown(unitName, edges[place + 1])}`;
    const cells = heat.cells.map(([column, row, count]) =>
      [span(x, heat.columns, column), span(heat.unit, heat.rows, row), String(count)]);
    return [[option.xAxis.name, option.yAxis.name, 'samples'], cells];
  };

  const escaped = (text) => text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);

  // About as wide as text of 12 px is drawn. From U+2E80 on begin the scripts whose characters are square.
  const widthOf = (text) => [...text].reduce((width, c) => width + (c < '\u2e80' ? 6.7 : 12), 0);

  // A legend as lines of text with samples, from a height on; also how high it is.
  const legendPicture = (entries, sample, theme, width, top) => {
    const parts = [];
    let [x, y] = [16, top];
    for (const { name, colour } of entries) {
      const space = 34 + widthOf(shortened(name)) + 18;
      if (x > 16 && x + space > width) [x, y] = [16, y + 20];
      parts.push(sample(x, y, at(theme.colours, colour), at(dashes, colour)));
      parts.push(`<text x="${x + 34}" y="${y + 4}">${escaped(shortened(name))}</text>`);
      x += space;
    }
    return [parts.join(''), entries.length > 0 ? y + 16 - top : 0];
  };
  const lineSample = (x, y, colour, dash) => {
    const dashed = Array.isArray(dash) ? ` stroke-dasharray="${dash.join(' ')}"` : '';
    return `<path d="M${x} ${y}H${x + 28}" stroke="${colour}" stroke-width="2.5" fill="none"${dashed}/>`;
  };
  const areaSample = (x, y, colour) =>
    `<rect x="${x + 12}" y="${y - 7}" width="14" height="14" fill="${colour}" opacity="0.3"/>`;

  // A chart as SVG: the same drawing with its legend, once with its title, to stand alone, and once without.
  // The same chart gives the same text, whatever was drawn before.
  const picture = (json, width, themeName) => {
    const { title, option, height, legend, shaded } = JSON.parse(json);
    const theme = themes[themeName];
    const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
    const whole = dressed(revived(option, theme, width), theme);
    // Nobody zooms a picture.
    delete whole.dataZoom;
    chart.setOption(whole);
    const drawing = chart.getZr().painter
      .renderToString({ useViewBox: true, cssAnimation: false, cssEmphasis: false })
      .replace(/zr\d+-/g, 'zr-');
    chart.dispose();
    const [lines, linesHeight] = legendPicture(legend, lineSample, theme, width, 50);
    const top = 44 + linesHeight;
    const [areas, areasHeight] = legendPicture(shaded, areaSample, theme, width, top + height + 4);
    const bottom = top + height + areasHeight;
    // All from a height on.
    const from = (begin, heading) =>
      `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 ${begin} ${width} ${bottom - begin}"`
      + ` width="${width}" height="${bottom - begin}"`
      + ` font-family="${fonts}" font-size="12" fill="${theme.text}"><title>${escaped(title)}</title>`
      + `<rect y="${begin}" width="100%" height="100%" fill="${theme.ground}"/>${heading}${lines}`
      + `<g transform="translate(0 ${top})">${drawing}</g>${areas}</svg>\n`;
    const heading = `<text x="16" y="24" font-size="16" font-weight="bold">${escaped(title)}</text>`;
    return { titled: from(0, heading), untitled: from(34, '') };
  };

  const toggle = (index, name) => {
    for (const [plot, { chart }] of drawn) {
      if (plot.dataset.chart === index) chart.dispatchAction({ type: 'legendToggleSelect', name });
    }
  };

  const resize = () => {
    for (const [plot, { chart }] of drawn) {
      if (plot.clientWidth > 0) chart.resize();
    }
  };

  return {
    draw, key, below, rows, toggle, resize, picture,
    isDrawn: (plot, themeName) => drawn.get(plot)?.themeName === themeName,
    colour: (index, themeName) => at(themes[themeName].colours, index),
    dash: (index) => at(dashes, index),
  };
})();
