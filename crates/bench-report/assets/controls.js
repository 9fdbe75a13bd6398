'use strict';
// What a reader does with a page: colours, legends, tables, saving, printing. Works without charts.
(() => {
  const charts = globalThis.reportCharts;
  const plots = [...document.querySelectorAll('.plot')];
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const choices = ['system', 'light', 'dark'];
  let choice = 'system';
  let isPrinting = false;

  const themeName = () => {
    if (isPrinting) return 'light';
    return choice === 'system' ? (dark.matches ? 'dark' : 'light') : choice;
  };
  const isShown = (plot) => plot.clientWidth > 0;

  const drawVisible = (all) => {
    if (!charts) return;
    for (const plot of plots) {
      const { top, bottom } = plot.getBoundingClientRect();
      const isNear = all || (bottom > -600 && top < innerHeight + 600);
      if (isNear && isShown(plot) && !charts.isDrawn(plot, themeName())) charts.draw(plot, themeName());
    }
    document.documentElement.dataset.drawn = document.querySelectorAll('.plot svg').length;
  };
  const paintLegends = () => {
    for (const sample of document.querySelectorAll('.shaded svg')) {
      sample.setAttribute('fill', charts.colour(Number(sample.dataset.colour), themeName()));
    }
    for (const sample of document.querySelectorAll('.legend svg')) {
      const path = sample.firstElementChild;
      path.setAttribute('stroke', charts.colour(Number(sample.dataset.colour), themeName()));
      const dash = charts.dash(Number(sample.dataset.colour));
      if (Array.isArray(dash)) path.setAttribute('stroke-dasharray', dash.join(' '));
    }
  };
  const applyTheme = () => {
    if (choice === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
    if (!charts) return;
    paintLegends();
    drawVisible(false);
  };

  const button = document.getElementById('theme');
  button.addEventListener('click', () => {
    choice = choices[(choices.indexOf(choice) + 1) % choices.length];
    button.textContent = `Colours: ${choice}`;
    applyTheme();
  });
  dark.addEventListener('change', applyTheme);

  document.addEventListener('click', (event) => {
    const legend = event.target.closest('.legend button');
    if (legend) {
      legend.setAttribute('aria-pressed', String(legend.getAttribute('aria-pressed') !== 'true'));
      charts.toggle(legend.dataset.chart, legend.dataset.series);
    }
    const saving = event.target.closest('button[data-file]');
    if (saving) {
      const link = document.createElement('a');
      const text = document.getElementById(saving.dataset.file).textContent;
      link.href = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
      link.download = saving.dataset.name;
      link.click();
      URL.revokeObjectURL(link.href);
    }
  });

  // A table is made when it is opened: all of them would make the page slow.
  const fill = (place) => {
    const [head, rows] = charts.rows(Number(place.dataset.table));
    const table = document.createElement('table');
    const add = (parent, tag, text) => {
      const cell = document.createElement(tag);
      cell.textContent = text;
      parent.append(cell);
      return cell;
    };
    const top = table.createTHead().insertRow();
    for (const title of head) add(top, 'th', title).scope = 'col';
    const body = table.createTBody();
    for (const row of rows) {
      const line = body.insertRow();
      row.forEach((text, index) => { add(line, 'td', text).className = index > 0 ? 'number' : ''; });
    }
    place.className = 'scroll';
    place.tabIndex = 0;
    place.append(table);
  };
  document.addEventListener('toggle', (event) => {
    const details = event.target;
    if (!details.open) return;
    const place = details.querySelector(':scope > [data-table]');
    if (place && !place.firstChild) fill(place);
    drawVisible(false);
  }, true);

  for (const plot of plots) {
    const readout = plot.nextElementSibling;
    plot.addEventListener('keydown', (event) => {
      if (!event.ctrlKey && !event.metaKey && charts.key(plot, event.key)) event.preventDefault();
    });
    plot.addEventListener('mousemove', (event) => {
      const { left, top } = plot.getBoundingClientRect();
      readout.textContent = charts.below(plot, event.clientX - left, event.clientY - top);
    });
  }

  // On paper: everything drawn, light, and as wide as the paper.
  addEventListener('beforeprint', () => {
    isPrinting = true;
    drawVisible(true);
    for (const svg of document.querySelectorAll('.plot svg')) {
      const { width, height } = svg.getBoundingClientRect();
      if (width > 0) svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    }
    if (charts) paintLegends();
  });
  addEventListener('afterprint', () => {
    isPrinting = false;
    for (const svg of document.querySelectorAll('.plot svg')) svg.removeAttribute('viewBox');
    applyTheme();
  });

  let waiting = 0;
  const later = (work) => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(work);
  };
  addEventListener('scroll', () => later(() => drawVisible(false)), { passive: true });
  addEventListener('resize', () => later(() => {
    charts?.resize();
    drawVisible(false);
  }));
  applyTheme();
})();
