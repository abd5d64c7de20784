// What the browser tests share: one zgoda in a folder of its own, an article page of another origin with a strict policy
// of its own, and Debian's Chromium. All on loopback; the program under test is build/release (BUILD=embed: build/embed).
import {spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import assert from 'node:assert/strict';
import {createRequire} from 'node:module';
import {fileURLToPath} from 'node:url';
import {chromium} from 'playwright-core';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '../..');
const binary = path.join(root, 'build', process.env.BUILD || 'release', 'zgoda');
const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
export const screenshots = path.join(root, 'build/screenshots');

export const phone = {width: 360, height: 740};
export const desktop = {width: 1280, height: 900};
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function listen(server) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return server.address().port;
}

async function freePort() {
    const server = net.createServer();
    const port = await listen(server);
    server.close();
    await once(server, 'close');
    return port;
}

// A letter as Python's parser reads it: subject, plain text, HTML.
function readLetter(file) {
    const script = `
import email, email.policy, json, sys
letter = email.message_from_bytes(open(sys.argv[1], "rb").read(), policy=email.policy.SMTP)
body = lambda kind: letter.get_body((kind,)).get_content()
print(json.dumps({"to": str(letter["To"]), "subject": str(letter["Subject"]), "text": body("plain"), "html": body("html")}))`;
    const done = spawnSync('/usr/bin/python3', ['-c', script, file], {encoding: 'utf8'});
    assert.equal(done.status, 0, done.stderr);
    const letter = JSON.parse(done.stdout);
    letter.link = (page) => letter.text.match(new RegExp(`https?://\\S+/${page}\\?t=[\\w.=~-]+`))?.[0];
    letter.code = letter.subject.match(/\d{6}/)?.[0];
    return letter;
}

// A relay that takes letters for everybody but for those whose local part is "nobody".
export async function startRelay() {
    const server = net.createServer((socket) => {
        let data = false, text = '';
        const say = (line) => socket.write(line + '\r\n');
        say('220 relay.test ESMTP');
        socket.on('error', () => {});
        socket.on('data', (chunk) => {
            text += chunk;
            for (let end; (end = text.indexOf('\r\n')) >= 0; text = text.slice(end + 2)) {
                const line = text.slice(0, end);
                if (data) {
                    if (line == '.') data = false, say('250 2.0.0 queued');
                } else if (/^(EHLO|HELO)/i.test(line)) say('250 relay.test');
                else if (/^RCPT TO:<nobody/i.test(line)) say('550 5.1.1 no such user');
                else if (/^DATA/i.test(line)) data = true, say('354 go on');
                else if (/^QUIT/i.test(line)) say('221 bye'), socket.end();
                else say('250 2.1.0 ok');
            }
        });
    });
    server.unref();
    return {port: await listen(server), stop: () => server.close()};
}

export class Newsroom {
    static async open(settings = {}) {
        const room = new Newsroom();
        room.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'zgoda-browser-'));
        room.port = await freePort();
        room.url = `http://127.0.0.1:${room.port}`;
        room.articles = {'/article': '<h1>Article</h1>'};
        room.site = http.createServer((request, response) => room.serveArticle(request, response));
        room.sitePort = await listen(room.site);
        room.siteUrl = `http://localhost:${room.sitePort}`;
        room.settings = {
            server_listen: `127.0.0.1:${room.port}`, server_private_listen: `127.0.0.1:${await freePort()}`,
            server_public_url: room.url, server_allowed_origins: room.siteUrl,
            limits_per_ip: '', mail_imprint: 'The Kyiv Newsroom, 12 Khreshchatyk St, Kyiv', ...settings,
        };
        room.inbox = {};
        room.run('migrate');
        const newsletters = [
            ['explaining-ukraine', 'Explaining Ukraine with Kate Tsurkan', 'Culture, language and the people behind the news, every Saturday.',
             'Пояснюючи Україну з Кейт Цуркан', 'Культура, мова й люди за новинами, щосуботи.'],
            ['ukraine-daily', 'Ukraine Daily', 'The day’s news from Kyiv in five minutes.', 'Україна щодня', 'Новини дня з Києва за п’ять хвилин.'],
            ['morning-brief', 'Morning Brief', 'What happened overnight, before your coffee.', 'Ранковий огляд', 'Що сталося вночі, ще до кави.'],
            ['war-notes', 'War Notes', 'Reports from the front line.', 'Воєнні нотатки', 'Репортажі з передової.'],
            ['inside-kyiv', 'Inside Kyiv', 'Life, food and streets of the capital.', 'Київ зсередини', 'Життя, їжа і вулиці столиці.'],
            ['business-week', 'Business Week', 'Companies, energy and reconstruction.', 'Бізнес-тиждень', 'Компанії, енергетика і відбудова.'],
            ['opinion', 'Opinion', 'Arguments worth having, twice a week.', 'Думка', 'Суперечки, які варті того, двічі на тиждень.'],
            ['investigations', 'Investigations', 'Follow the money: a long read a month.', 'Розслідування', 'Шлях грошей: один великий текст на місяць.'],
        ];
        for (const [slug, name, description, nameInUkrainian, descriptionInUkrainian] of newsletters) {
            room.run('newsletter', 'add', slug, '--name', name, '--description', description);
            room.run('newsletter', 'edit', slug, '--in', 'uk', '--name', nameInUkrainian, '--description', descriptionInUkrainian);
        }
        room.server = spawn(binary, ['serve'], {cwd: room.folder, env: room.environment(), stdio: ['ignore', 'ignore', 'pipe']});
        room.log = '';
        room.server.stderr.on('data', (text) => { room.log += text; });
        for (let tries = 0; ; ++tries) {
            if (await fetch(room.url + '/v1/newsletters').then((reply) => reply.ok, () => false)) break;
            assert.ok(tries < 200 && room.server.exitCode === null, `zgoda does not answer:\n${room.log}`);
            await sleep(50);
        }
        room.browser = await chromium.launch({
            executablePath: '/usr/bin/chromium',
            args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update',
                   '--disable-sync', '--no-first-run'],
        });
        return room;
    }

    async close() {
        await this.browser?.close();
        this.site.close();
        this.site.closeAllConnections?.();
        if (this.server?.exitCode === null) {
            this.server.kill('SIGTERM');
            const killer = setTimeout(() => this.server.kill('SIGKILL'), 15_000);
            await once(this.server, 'exit');
            clearTimeout(killer);
        }
        fs.rmSync(this.folder, {recursive: true, force: true});
    }

    environment(settings = {}) {
        const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('ZGODA_')));
        for (const [name, value] of Object.entries({...this.settings, ...settings})) environment['ZGODA_' + name.toUpperCase()] = value;
        return environment;
    }

    run(...words) {
        const settings = typeof words.at(-1) == 'object' ? words.pop() : {};
        const done = spawnSync(binary, words, {cwd: this.folder, env: this.environment(settings), encoding: 'utf8'});
        assert.equal(done.status, 0, `zgoda ${words.join(' ')}: ${done.stderr}`);
        return done.stdout;
    }

    /** The mailer, beside this process: what it talks to may be in here. */
    async mail(settings) {
        const mailer = spawn(binary, ['mail'], {cwd: this.folder, env: this.environment(settings), stdio: 'ignore'});
        const [code] = await once(mailer, 'exit');
        assert.equal(code, 0, 'zgoda mail');
    }

    /** Sends what is due, and gives the newest letter to this address. */
    letter(address) {
        this.run('mail');
        const folder = path.join(this.folder, 'var/letters/new');
        for (const name of fs.readdirSync(folder)) this.inbox[name] ??= {...readLetter(path.join(folder, name)), at: fs.statSync(path.join(folder, name)).mtimeMs};
        const letters = Object.values(this.inbox).filter((letter) => letter.to == address).sort((a, b) => a.at - b.at);
        assert.ok(letters.length, `no letter to ${address}`);
        return letters.at(-1);
    }

    status(address, newsletter) {
        const rows = this.run('export', '--status', 'all', '--format', 'ndjson').split('\n').filter(Boolean).map((line) => JSON.parse(line));
        return rows.find((row) => row.email == address && row.newsletter == newsletter)?.status;
    }

    serveArticle(request, response) {
        const {pathname} = new URL(request.url, this.siteUrl);
        if (pathname == '/site.css') {
            response.writeHead(200, {'Content-Type': 'text/css'});
            return response.end(`
                :root { color-scheme: light dark }
                body { margin: 0 auto; max-width: 44rem; padding: 1rem; font: 1.0625rem/1.6 Georgia, "DejaVu Serif", serif;
                       background: Canvas; color: CanvasText }
                .promo { margin: 2rem 0; padding: 1rem 1.25rem; border: 1px solid #9993 }
                .theme { --zgoda-accent: #7a1f3d; --zgoda-on-accent: #fff; --zgoda-radius: 2em }
                iframe { width: 100%; border: 0 }`);
        }
        const body = this.articles[pathname];
        if (!body) {
            response.writeHead(404);
            return response.end();
        }
        response.writeHead(200, {
            'Content-Type': 'text/html; charset=utf-8',
            'Content-Security-Policy': `default-src 'none'; script-src ${this.url}; connect-src ${this.url}; frame-src ${this.url}; ` +
                `style-src 'self'; form-action ${this.url}; base-uri 'none'; require-trusted-types-for 'script'`,
        });
        response.end(`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>An article</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/site.css"></head>
<body><main>${body}</main></body></html>`);
    }

    /** An article with this in its middle; gives its address. */
    article(name, body, script = `<script src="${this.url}/embed.js" defer></script>`) {
        this.articles['/' + name] = `<h1>How the city kept its lights on</h1>
<p>The lights came back on Tuesday, street by street, as the crews worked down from the hill.</p>
${body}
<p>By evening the trams were running again.</p>${script}`;
        return `${this.siteUrl}/${name}`;
    }

    /**
     * A reader's browser. Everything that it asks of others than the two servers, and every complaint of its console, is a
     * failure: see done(). A `network` is the address that she seems to come from; her pages then cannot ask across
     * origins, because the browser takes the header for the page's.
     */
    async reader({network, ...options} = {}) {
        const headers = network ? {extraHTTPHeaders: {'X-Forwarded-For': network}} : {};
        const context = await this.browser.newContext({viewport: desktop, locale: 'en-GB', ...headers, ...options});
        context.setDefaultTimeout(10_000);
        const page = await context.newPage();
        const trouble = [], requests = [];
        context.on('request', (request) => {
            const url = new URL(request.url());
            requests.push(request);
            if (/^https?:/.test(url.protocol) && ![this.url, this.siteUrl].includes(url.origin)) trouble.push(`asks ${url.origin}`);
        });
        page.on('pageerror', (error) => trouble.push(`script: ${error.message}`));
        page.on('console', (message) => {
            if (message.type() == 'error' && !/Failed to load resource/.test(message.text())) trouble.push(`console: ${message.text()}`);
        });
        return {page, context, requests, trouble, done: async () => {
            assert.deepEqual(await context.cookies(), [], 'a cookie');
            await context.close();
            assert.deepEqual(trouble, []);
        }};
    }
}

/** axe-core finds nothing against WCAG 2.2 AA. Its script comes through the debugger, which no policy of the page stops. */
export async function accessible(page, what) {
    await page.evaluate(axe + '; undefined');
    const found = await page.evaluate(() => axe.run(document, {
        runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'], resultTypes: ['violations']}));
    const said = found.violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html + ' ' + node.failureSummary).join('\n  ')}`);
    assert.deepEqual(said, [], `axe on ${what}`);
}

// What is in a frame is painted once the frame is in view, so all of the page is brought there.
async function shoot(page, name, size) {
    const viewport = page.viewportSize();
    const frames = page.frames().filter((frame) => frame != page.mainFrame());
    if (frames.length) {
        const height = await page.evaluate(() => document.documentElement.scrollHeight);
        await page.setViewportSize({width: viewport.width, height: Math.max(height, viewport.height)});
        const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        await Promise.all(frames.map((frame) => frame.evaluate(painted)));
    }
    await page.screenshot({path: path.join(screenshots, `${name}.${size}.png`), fullPage: true});
    await page.setViewportSize(viewport);
}

/** Looked at by people: on a desktop and on a phone, light and dark. And nothing is wider than the phone. */
export async function picture(page, name) {
    fs.mkdirSync(screenshots, {recursive: true});
    await accessible(page, name);
    for (const [size, viewport] of [['desktop', desktop], ['phone', phone]]) {
        await page.setViewportSize(viewport);
        await shoot(page, name, size);
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(width <= viewport.width, `${name} is ${width} px wide on a ${size}`);
    }
    await page.emulateMedia({colorScheme: 'dark'});
    await accessible(page, `${name}, dark`);
    await shoot(page, name, 'phone-dark');
    await page.emulateMedia({colorScheme: 'light'});
    await page.setViewportSize(desktop);
}

/** As it comes out of a printer; gives the headings of its parts that are to be seen. */
export async function printed(page, name) {
    await page.emulateMedia({media: 'print'});
    await page.screenshot({path: path.join(screenshots, `${name}.print.png`), fullPage: true});
    const seen = await page.locator('h2, legend.shown, summary').filter({visible: true}).allInnerTexts();
    await page.emulateMedia({media: 'screen'});
    return seen;
}
