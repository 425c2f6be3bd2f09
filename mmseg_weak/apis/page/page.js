'use strict';
// The page of `mmseg-weak serve`: one picture, its masks for the typed names. The threshold works on the probabilities
// that came with the mask, so moving it asks nobody.

const $ = id => document.getElementById(id);
const STOPS = [[26, 5, 51], [63, 52, 130], [40, 120, 142], [78, 190, 108], [250, 230, 40]];
const RAMP = Array.from({ length: 256 }, (_, value) => {
  const place = value / 255 * (STOPS.length - 1), low = Math.min(Math.floor(place), STOPS.length - 2);
  return STOPS[low].map((from, c) => from + (place - low) * (STOPS[low + 1][c] - from));
});
const state = { about: null, picture: null, bitmap: null, found: null, map: null, asking: null, soon: 0 };

function say(text, kind = '') {
  $('status').textContent = text;
  $('status').className = kind;
}

async function ask(path, fields, signal) {
  const response = await fetch(path, { method: 'POST', signal, headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(fields) });
  if (!response.ok) throw new Error(await sentence(response));
  return response;
}

async function sentence(response) {
  try {
    return (await response.json()).error;
  } catch {
    return `The page's server answered with status ${response.status}.`;
  }
}

function wanted() {
  return { image: state.picture.image, names: $('names').value, background: $('background').value };
}

// ---- a picture ---------------------------------------------------------------------------------------------------

async function take(file) {
  if (!file) return;
  const { about } = state;
  if (!about.kinds.includes(file.type)) {
    return say(`${file.name} is ${file.type || 'of an unknown kind'}; this page takes PNG, JPEG and WebP pictures.`, 'bad');
  }
  if (file.size > about.upload_bytes) {
    return say(`${file.name} has ${(file.size / 1e6).toFixed(1)} MB; this page takes up to ${about.upload_bytes / 1e6} MB.`,
      'bad');
  }
  state.asking?.abort();
  say('Looking at the picture', 'busy');
  try {
    const response = await fetch('/images', { method: 'POST', headers: { 'Content-Type': file.type }, body: file });
    if (!response.ok) throw new Error(await sentence(response));
    const picture = await response.json();
    state.bitmap?.close();
    state.bitmap = await createImageBitmap(file);
    state.picture = picture;
  } catch (error) {
    return say(error.message, 'bad');
  }
  const [width, height] = state.picture.shown;
  Object.assign($('canvas'), { width, height });
  $('canvas').style.width = `min(100%, ${72 * width / height}vh)`;
  $('drop').hidden = true;
  $('view').hidden = $('under').hidden = false;
  forget();
  paint();
  find();
}

function forget() {
  state.found = state.map = null;
  $('classes').hidden = $('legend').hidden = true;
  $('save-mask').disabled = true;
}

// ---- names -------------------------------------------------------------------------------------------------------

function later() {
  clearTimeout(state.soon);
  state.soon = setTimeout(find, 450);
}

async function find() {
  clearTimeout(state.soon);
  state.asking?.abort();
  if (!state.picture) return;
  if (!$('names').value.trim()) {
    forget();
    paint();
    return say('Type names of what to look for.');
  }
  const asking = state.asking = new AbortController();
  say('Looking for the names', 'busy');
  const start = performance.now();
  try {
    const response = await ask('/labels', wanted(), asking.signal);
    const found = unpack(await response.arrayBuffer());
    if (asking.signal.aborted) return;
    state.found = found;
    state.map = null;
    say(`Found in ${((performance.now() - start) / 1000).toFixed(2)} s.`);
  } catch (error) {
    if (error.name === 'AbortError') return;
    forget();
    say(error.message, 'bad');
  }
  show();
}

function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const count = head.width * head.height;
  return { ...head, labels: new Uint16Array(buffer, 4 + length, count),
    sure: new Uint8Array(buffer, 4 + length + 2 * count, count) };
}

// ---- what is shown -----------------------------------------------------------------------------------------------

function threshold() {
  return Number($('threshold').value);
}

// Classes as the threshold leaves them: less probable pixels are background (-1 where no class is called so).
function counted() {
  const { labels, sure, classes } = state.found;
  const least = Math.ceil(threshold() * 255);
  const counts = new Float64Array(classes.length), sums = new Float64Array(classes.length);
  for (let i = 0; i < labels.length; i++) {
    if (sure[i] < least) continue;
    counts[labels[i]]++;
    sums[labels[i]] += sure[i];
  }
  return { least, counts, sums };
}

function show() {
  paint();
  const { found } = state;
  $('save-mask').disabled = !found;
  if (!found) return;
  const { counts, sums } = counted();
  const total = found.labels.length;
  const rows = found.classes.map((one, number) => {
    const row = document.createElement('tr');
    row.className = counts[number] ? '' : 'gone';
    const name = document.createElement('td'), swatch = document.createElement('span');
    swatch.className = 'swatch';
    swatch.style.background = one.name === 'background' ? 'none' : `rgb(${one.colour})`;  // the bare picture
    name.append(swatch, one.name);
    const area = document.createElement('td'), score = document.createElement('td'), last = document.createElement('td');
    area.textContent = `${(100 * counts[number] / total).toFixed(1)} %`;
    score.textContent = counts[number] ? (sums[number] / counts[number] / 255).toFixed(2) : '–';
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = 'map';
    button.setAttribute('aria-label', `Score map of ${one.name}`);
    button.setAttribute('aria-pressed', String(state.map?.number === number));
    button.addEventListener('click', () => toggle(number));
    last.append(button);
    row.append(name, area, score, last);
    return row;
  });
  $('classes').tBodies[0].replaceChildren(...rows);
  $('classes').hidden = $('legend').hidden = false;
}

async function toggle(number) {
  if (state.map?.number === number) {
    state.map = null;
    say('');
    return show();
  }
  const { found } = state;
  try {
    const response = await ask('/scores', { ...wanted(), number });
    const values = new Uint8Array(await response.arrayBuffer());
    if (state.found !== found) return;
    state.map = { number, values };
    say(`Score map of ${found.classes[number].name}.`);
  } catch (error) {
    say(error.message, 'bad');
  }
  show();
  $('classes').tBodies[0].rows[number]?.querySelector('button').focus();
}

function paint() {
  if (!state.bitmap) return;
  const canvas = $('canvas'), pen = canvas.getContext('2d', { willReadFrequently: true });
  pen.drawImage(state.bitmap, 0, 0, canvas.width, canvas.height);
  if (!state.found) return;
  const picture = pen.getImageData(0, 0, canvas.width, canvas.height), pixels = picture.data;
  const share = $('opacity').value / 100, { labels, sure, classes } = state.found;
  const least = Math.ceil(threshold() * 255);
  const colours = classes.map(one => one.name === 'background' ? null : one.colour);
  for (let i = 0, j = 0; i < labels.length; i++, j += 4) {
    const colour = state.map ? RAMP[state.map.values[i]] : sure[i] < least ? null : colours[labels[i]];
    if (!colour) continue;
    for (let c = 0; c < 3; c++) pixels[j + c] += share * (colour[c] - pixels[j + c]);
  }
  pen.putImageData(picture, 0, 0);
}

function point(event) {
  const { found } = state, box = $('canvas').getBoundingClientRect();
  if (!found) return;
  const x = Math.floor((event.clientX - box.left) / box.width * found.width);
  const y = Math.floor((event.clientY - box.top) / box.height * found.height);
  if (x < 0 || y < 0 || x >= found.width || y >= found.height) return;
  const place = y * found.width + x, sure = found.sure[place] / 255;
  const below = found.sure[place] < Math.ceil(threshold() * 255);
  const name = found.classes[found.labels[place]].name;
  $('hover').textContent = `${name} ${sure.toFixed(2)}${below ? ', below the threshold: background' : ''}`;
}

// ---- files -------------------------------------------------------------------------------------------------------

function download(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function saveMask() {
  say('Writing the mask', 'busy');
  try {
    const response = await ask('/mask.png', { ...wanted(), threshold: threshold() });
    download(await response.blob(), 'mask.png');
    say(`mask.png: ${state.picture.width}x${state.picture.height} class indices.`);
  } catch (error) {
    say(error.message, 'bad');
  }
}

// ---- start -------------------------------------------------------------------------------------------------------

async function start() {
  state.about = await (await fetch('/about')).json();
  const { method, tower, weights, device, upload_bytes, pixels } = state.about;
  $('about').textContent = `${method}, ${tower} (${weights}), on ${device}`;
  $('limits').textContent = `PNG, JPEG or WebP, up to ${upload_bytes / 1e6} MB and ${pixels / 1e6} million pixels`;
  if (weights === 'random') {
    $('about').textContent += ': the weights are random and masks mean nothing';
    $('about').classList.add('bad');
  }
}

$('file').addEventListener('change', event => { take(event.target.files[0]); event.target.value = ''; });
$('another').addEventListener('click', () => $('file').click());
$('save-mask').addEventListener('click', saveMask);
$('save-view').addEventListener('click', () => $('canvas').toBlob(blob => download(blob, 'view.png'), 'image/png'));
for (const id of ['names', 'background']) $(id).addEventListener('input', later);
$('background').addEventListener('keydown', event => { if (event.key === 'Enter') find(); });
$('threshold').addEventListener('input', () => {
  $('threshold-value').textContent = threshold().toFixed(2);
  show();
});
$('opacity').addEventListener('input', () => { $('opacity-value').textContent = `${$('opacity').value} %`; paint(); });
$('canvas').addEventListener('mousemove', point);
$('canvas').addEventListener('mouseleave', () => { $('hover').textContent = ''; });
for (const kind of ['dragenter', 'dragover']) {
  addEventListener(kind, event => { event.preventDefault(); $('stage').classList.add('over'); });
}
for (const kind of ['dragleave', 'drop']) addEventListener(kind, () => $('stage').classList.remove('over'));
addEventListener('drop', event => { event.preventDefault(); take(event.dataTransfer.files[0]); });
start().catch(error => say(error.message, 'bad'));
