// The form on somebody else's page: embed.js on an article of another origin, which has a strict policy of its own.
import {after, before, test} from 'node:test';
import assert from 'node:assert/strict';
import {Newsroom, accessible, phone, picture, sleep, startRelay} from './newsroom.js';

let room;
before(async () => { room = await Newsroom.open(); });
after(() => room.close());

const drawn = '<div data-zgoda="explaining-ukraine"></div>';
const alert = (page) => page.getByRole('alert');
const field = (page) => page.getByLabel('Enter your email to subscribe');
const subscribe = (page) => page.getByRole('button', {name: 'Subscribe'});

async function signUp(page, address) {
    await field(page).fill(address);
    await subscribe(page).click();
}

// Everything that posts to us meanwhile, as the browser sent it.
function posts(requests) {
    return requests.filter((request) => request.method() == 'POST' && request.url().startsWith(room.url));
}

test('eight forms stand on one article, each by its own: drawn, upgraded, for several newsletters, framed', async () => {
    const url = room.article('eight', `
        ${drawn}
        <div class="promo theme" data-zgoda="ukraine-daily, morning-brief opinion" data-source="/section/front" data-form="end"></div>
        <form class="promo mine" data-zgoda="war-notes"><label>Your address <input class="own" name="email"></label> <button>Go</button></form>
        <form class="promo" data-zgoda="inside-kyiv" data-locale="uk" method="post" action="${room.url}/v1/subscriptions">
          <label for="kyiv">Пошта</label> <input id="kyiv" type="email" name="email"> <button>Гаразд</button>
          <p data-zgoda-consent></p></form>
        <div data-zgoda="business-week" data-locale="uk"></div>
        <iframe src="${room.url}/newsletters/opinion/embed" title="Opinion"></iframe>
        <div data-zgoda="opinion"></div>
        <div data-zgoda="investigations"></div>`);
    const {page, done} = await room.reader();
    await page.goto(url);
    await page.locator('form.zgoda').nth(4).waitFor();
    assert.equal(await page.locator('form.zgoda').count(), 5);
    assert.equal(await page.locator('form.mine').getAttribute('class'), 'promo mine');
    assert.equal(await page.locator('form.mine input').getAttribute('class'), 'own');
    assert.deepEqual(await page.locator('.theme legend, .theme .zgoda-choice').allInnerTexts(),
                     ['Newsletters', 'Ukraine Daily', 'Morning Brief', 'Opinion']);
    assert.equal(await page.locator('.theme :checked').count(), 0);
    assert.equal(await page.locator('.theme button').evaluate((button) => getComputedStyle(button).backgroundColor), 'rgb(122, 31, 61)');
    assert.match(await page.locator('[data-zgoda-consent]').innerText(), /^Підписуючись/);
    const ukrainian = page.locator('form.zgoda[lang=uk]');
    assert.equal(await ukrainian.getAttribute('dir'), 'ltr');
    assert.equal(await ukrainian.getByRole('button').innerText(), 'Підписатися');

    const frame = page.frameLocator('iframe');
    await frame.getByRole('button', {name: 'Subscribe'}).waitFor();
    await page.waitForFunction(() => document.querySelector('iframe').clientHeight > 200);
    const fits = await frame.locator('html').evaluate(async (html) => {
        const fits = () => html.scrollHeight <= html.clientHeight;
        for (let waited = 0; !fits() && waited < 5000; waited += 100) await new Promise((done) => setTimeout(done, 100));
        return fits();
    });
    assert.ok(fits, 'the frame is too low for what is in it');
    await picture(page, 'article-eight-forms');
    await done();
});

test('an empty field is said beside it, before anything is sent', async () => {
    const {page, requests, done} = await room.reader();
    await page.goto(room.article('empty', drawn));
    await subscribe(page).click();
    await alert(page).waitFor();
    assert.equal(await alert(page).innerText(), 'Please, enter your email address.');
    assert.equal(posts(requests).length, 0);
    await picture(page, 'form-empty');
    await done();
});

test('a wrong address is said beside the field, which has the focus and is marked for every reader', async () => {
    const {page, done} = await room.reader();
    await page.goto(room.article('wrong', drawn));
    await signUp(page, 'ada@');
    await alert(page).waitFor();
    assert.deepEqual((await alert(page).innerText()).split('\n'),
                     ['Please, enter correct email address', 'There is nothing after the @ sign.']);
    assert.equal(await field(page).getAttribute('aria-invalid'), 'true');
    assert.equal(await field(page).getAttribute('aria-describedby'), await alert(page).getAttribute('id'));
    assert.ok(await field(page).evaluate((input) => input == document.activeElement));
    const [below, above] = [await alert(page).boundingBox(), await field(page).boundingBox()];
    assert.ok(below.y >= above.y + above.height && below.y < above.y + above.height + 60, 'beside the field');
    await picture(page, 'form-wrong-address');

    await signUp(page, 'ada@example.org');
    await page.getByText('Thank you for signing up').waitFor();
    assert.equal(await field(page).getAttribute('aria-invalid'), null);
    assert.equal(await alert(page).count(), 0);
    await done();
});

test('a slip is offered as a button, which sends the address that was meant', async () => {
    const {page, requests, done} = await room.reader();
    await page.goto(room.article('slip', drawn));
    await signUp(page, 'ada@gmail..com');
    await page.getByRole('button', {name: 'Did you mean ada@gmail.com?'}).waitFor();
    await picture(page, 'form-suggestion');
    await page.getByRole('button', {name: 'Did you mean ada@gmail.com?'}).click();
    await page.getByText('Thank you for signing up').waitFor();
    assert.equal(new URLSearchParams(posts(requests).at(-1).postData()).get('email'), 'ada@gmail.com');
    await done();
});

test('a slip that may be right is taken, and asked about beside the answer', async () => {
    const {page, done} = await room.reader();
    await page.goto(room.article('maybe', drawn));
    await signUp(page, 'ada@gmial.com');
    await page.getByText('Thank you for signing up').waitFor();
    await page.getByRole('button', {name: 'Did you mean ada@gmail.com?'}).waitFor();
    await picture(page, 'form-sent-with-suggestion');
    await done();
});

test('while it is sent the form says so, and does not send twice', async () => {
    const {page, requests, done} = await room.reader();
    await page.goto(room.article('checking', drawn));
    let go;
    const held = new Promise((resolve) => { go = resolve; });
    await page.route('**/v1/subscriptions', async (route) => { await held; await route.continue(); });
    await signUp(page, 'checking@example.org');
    await page.getByRole('status').filter({hasText: 'One moment, please…'}).waitFor();
    assert.equal(await page.locator('form.zgoda').getAttribute('aria-busy'), 'true');
    await subscribe(page).click();
    await picture(page, 'form-checking');
    go();
    await page.getByText('Thank you for signing up').waitFor();
    assert.equal(posts(requests).length, 1);
    await done();
});

test('of the page only origin and path are sent, and of the form only what is ours', async () => {
    const {page, requests, done} = await room.reader();
    await page.goto(room.article('private', `<form data-zgoda="explaining-ukraine" data-form="footer">
        <input type="hidden" name="csrf" value="of-the-page"><input type="hidden" name="newsletter" value="ukraine-daily">
        <label>Enter your email to subscribe <input name="email"></label> <button>Subscribe</button></form>`) + '?reader=42#part');
    await signUp(page, 'private@example.org');
    await page.getByText('Thank you for signing up').waitFor();
    const [post] = posts(requests);
    assert.deepEqual([...new URLSearchParams(post.postData())].sort(), [
        ['email', 'private@example.org'], ['form', 'footer'], ['locale', 'en'], ['newsletter', 'ukraine-daily'],
        ['source', `${room.siteUrl}/private`]]);
    assert.ok(!JSON.stringify(requests.filter((one) => one.url().startsWith(room.url)).map((one) => [one.url(), one.headers(), one.postData()]))
        .includes('reader=42'));
    await done();
});

test('a text of the newsletter stands instead of ours, in its language, and can be no markup', async () => {
    room.run('newsletter', 'edit', 'opinion', '--texts.subscribe', 'Count me in', '--texts.wrong_email', '<img src=x onerror=alert(1)>');
    room.run('newsletter', 'edit', 'opinion', '--in', 'uk', '--texts.subscribe', 'Я з вами');
    room.run('newsletter', 'edit', 'opinion', '--consent', 'I want <b>opinions</b>.', '--privacy-url', 'https://news.example/privacy');
    const {page, done} = await room.reader();
    await page.goto(room.article('words', '<div data-zgoda="opinion"></div><div data-zgoda="opinion" data-locale="uk"></div>'));
    await page.getByRole('button', {name: 'Я з вами'}).waitFor();
    await page.getByRole('button', {name: 'Count me in'}).click();
    await page.locator('form[lang=en]').getByText('I want <b>opinions</b>. Privacy policy').waitFor();
    assert.equal(await page.getByRole('link', {name: 'Privacy policy'}).getAttribute('href'), 'https://news.example/privacy');
    await page.getByLabel('Enter your email to subscribe').fill('a b');
    await page.getByRole('button', {name: 'Count me in'}).click();
    await page.getByText('<img src=x onerror=alert(1)>').waitFor();
    assert.equal(await page.locator('img, b').count(), 0);
    await done();
    room.run('newsletter', 'edit', 'opinion', '--texts.subscribe', '', '--texts.wrong_email', '', '--consent', '', '--privacy-url', '');
    room.run('newsletter', 'edit', 'opinion', '--in', 'uk', '--texts.subscribe', '');
});

test('a form for several newsletters wants a tick, and asks for the ticked ones', async () => {
    const {page, requests, done} = await room.reader();
    await page.goto(room.article('several', '<div data-zgoda="ukraine-daily,war-notes"></div>'));
    await signUp(page, 'several@example.org');
    await alert(page).getByText('Please, tick at least one newsletter.').waitFor();
    await picture(page, 'form-several-none-ticked');
    await page.getByLabel('War Notes').check();
    await subscribe(page).click();
    await page.getByText('Thank you for signing up').waitFor();
    const sent = new URLSearchParams(posts(requests).at(-1).postData());
    assert.deepEqual(sent.getAll('newsletters'), ['war-notes']);
    assert.match(sent.get('consent[war-notes]'), /^[0-9a-f]{32}$/);
    assert.equal(room.status('several@example.org', 'war-notes'), 'pending');
    await done();
});

test('a form of the page shows the wording of each of its newsletters, and sends the one of what is ticked', async () => {
    room.run('newsletter', 'edit', 'war-notes', '--consent', 'War is not for children.');
    const {page, requests, done} = await room.reader();
    await page.goto(room.article('wordings', `<form data-zgoda="war-notes"><label>Email <input name="email"></label>
        <label><input type="checkbox" name="newsletters" value="war-notes"> War</label>
        <label><input type="checkbox" name="newsletters" value="opinion"> Opinions</label>
        <p data-zgoda-consent></p><button>Go</button></form>`));
    await page.getByText('War Notes: War is not for children.').waitFor();
    await page.getByText(/Opinion: By subscribing I agree/).waitFor();
    await page.getByLabel('Email').fill('wordings@example.org');
    await page.getByLabel('Opinions').check();
    await page.getByRole('button', {name: 'Go'}).click();
    await page.getByText('Thank you for signing up').waitFor();
    const sent = new URLSearchParams(posts(requests).at(-1).postData());
    assert.deepEqual(sent.getAll('newsletters'), ['opinion']);
    assert.equal(sent.get('consent'), null);
    assert.match(sent.get('consent[opinion]'), /^[0-9a-f]{32}$/);
    assert.notEqual(sent.get('consent[opinion]'), sent.get('consent[war-notes]'));
    assert.equal(room.status('wordings@example.org', 'opinion'), 'pending');
    await done();
    room.run('newsletter', 'edit', 'war-notes', '--consent', '');
});

test('fields of the newsletter are drawn, and what is wrong with one stands beside it', async () => {
    room.run('newsletter', 'edit', 'business-week', '--fields', 'company:required:40,born:date,member:boolean',
             '--labels.company', 'Where do you work?');
    const {page, done} = await room.reader();
    await page.goto(room.article('fields', '<div data-zgoda="business-week"></div>'));
    await signUp(page, 'fields@example.org');
    await alert(page).getByText('This field is required.').waitFor();
    assert.equal(await page.locator('[name="fields[company]"]').getAttribute('aria-invalid'), 'true');
    await picture(page, 'form-fields');
    await page.getByLabel('Where do you work?').fill('Ada & Co');
    await page.getByLabel('member').check();
    await subscribe(page).click();
    await page.getByText('Thank you for signing up').waitFor();
    await done();
    room.run('newsletter', 'edit', 'business-week', '--fields', '', '--label', 'company=');
});

test('a closed newsletter says so, an unknown one leaves the place as it was', async () => {
    room.run('newsletter', 'close', 'investigations');
    const {page, done} = await room.reader();
    await page.goto(room.article('closed', '<div data-zgoda="investigations"></div><div data-zgoda="no-such"><a href="/x">Subscribe here</a></div>'));
    await page.getByText('This newsletter takes no new subscribers at the moment.').waitFor();
    assert.equal(await page.getByRole('link', {name: 'Subscribe here'}).count(), 1);
    await picture(page, 'form-closed');
    await done();
    room.run('newsletter', 'open', 'investigations');
});

test('no connection and no service are each told, and the address stays', async () => {
    const {page, context, done} = await room.reader();
    await page.goto(room.article('trouble', drawn));
    await field(page).waitFor();

    await context.setOffline(true);
    await signUp(page, 'trouble@example.org');
    await alert(page).getByText('We could not be reached.').waitFor();
    await picture(page, 'form-offline');
    await context.setOffline(false);

    await page.route('**/v1/subscriptions', (route) => route.fulfill({
        status: 503, headers: {'Access-Control-Allow-Origin': room.siteUrl}, contentType: 'text/html', body: '<p>proxy</p>'}));
    await subscribe(page).click();
    await alert(page).getByText('We cannot save anything right now.').waitFor();
    await picture(page, 'form-unavailable');
    await page.unroute('**/v1/subscriptions');

    assert.equal(await field(page).inputValue(), 'trouble@example.org');
    await subscribe(page).click();
    await page.getByText('Thank you for signing up').waitFor();
    await done();
});

test('too many requests are told', async () => {
    const strict = await Newsroom.open({limits_per_ip: '2/1h'});
    try {
        const {page, done} = await strict.reader();
        await page.goto(strict.article('often', drawn));
        for (const address of ['a@', 'b@', 'c@']) await signUp(page, address);
        await alert(page).getByText('Too many requests from your network.').waitFor();
        await picture(page, 'form-too-many');
        await done();
    } finally {
        await strict.close();
    }
});

test('a form of the page tells that nobody answered, even if nobody ever did', async () => {
    const {page, context, done} = await room.reader();
    await page.goto(room.article('never', `<form data-zgoda="opinion"><label>Email <input name="email"></label><button>Go</button></form>`));
    await context.setOffline(true);
    await page.getByLabel('Email').fill('ada@example.org');
    await page.getByRole('button').click();
    await alert(page).getByText('We could not be reached.').waitFor();
    await context.setOffline(false);
    await page.getByRole('button').click();
    await page.getByText('Thank you for signing up').waitFor();
    await done();
});

test('a mailbox that does not exist is told while the reader is still there', async () => {
    const relay = await startRelay();
    const {page, done} = await room.reader();
    await page.goto(room.article('nobody', drawn));
    await signUp(page, 'nobody@example.org');
    await page.getByText('Thank you for signing up').waitFor();
    await picture(page, 'form-sent');
    await room.mail({mail_url: `smtp://127.0.0.1:${relay.port}`, mail_tls: 'none', mail_from: 'News <news@example.org>'});
    await alert(page).getByText('The mail server says that there is no such mailbox. Please, check the spelling.').waitFor({timeout: 20_000});
    assert.equal(await field(page).inputValue(), 'nobody@example.org');
    assert.ok(await field(page).evaluate((input) => input == document.activeElement));
    await picture(page, 'form-no-mailbox');
    relay.stop();
    await done();
});

test('by the keyboard alone, on a phone, from the field to the code', async () => {
    const {page, done} = await room.reader({viewport: phone, hasTouch: true});
    await page.goto(room.article('keyboard', drawn));
    await field(page).waitFor();
    await page.keyboard.press('Tab');
    assert.ok(await field(page).evaluate((input) => input == document.activeElement));
    assert.notEqual(await field(page).evaluate((input) => getComputedStyle(input).outlineStyle), 'none');
    await page.keyboard.type('keyboard@example.org');
    await page.keyboard.press('Enter');
    await page.getByText('Thank you for signing up').waitFor();
    const letter = room.letter('keyboard@example.org');
    await page.keyboard.press('Tab');
    assert.ok(await page.getByLabel('Code from the letter').evaluate((input) => input == document.activeElement));
    await page.keyboard.type(letter.code);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByText('Successfully subscribed').waitFor();
    assert.equal(room.status('keyboard@example.org', 'explaining-ukraine'), 'confirmed');
    await done();
});

test('the code is six digits, wrong ones are counted down, and the right one need not be typed clean', async () => {
    const {page, done} = await room.reader();
    await page.goto(room.article('code', drawn));
    await signUp(page, 'code@example.org');
    const box = page.getByLabel('Code from the letter');
    await box.waitFor();
    const attributes = await box.evaluate((input) => [input.autocomplete, input.inputMode]);
    assert.deepEqual(attributes, ['one-time-code', 'numeric']);
    const letter = room.letter('code@example.org');
    const confirm = page.getByRole('button', {name: 'Confirm'});
    await box.fill('12345');
    await confirm.click();
    await alert(page).getByText('The code has six digits.').waitFor();
    await box.fill(letter.code == '111111' ? '222222' : '111111');
    await confirm.click();
    await alert(page).getByText('This is not the code. Tries left: 4.').waitFor();
    assert.equal(await box.getAttribute('aria-invalid'), 'true');
    await picture(page, 'form-code-wrong');
    await box.fill('');
    await box.evaluate((input, text) => {  // as pasting does
        input.focus();
        document.execCommand('insertText', false, text);
    }, ` ${letter.code.slice(0, 3)} ${letter.code.slice(3)} `);
    await confirm.click();
    await page.getByText('Successfully subscribed').waitFor();
    await picture(page, 'form-subscribed');
    assert.equal(await alert(page).count(), 0);
    await done();
});

test('five wrong codes end it, and the sentence leads to the letter', async () => {
    const {page, done} = await room.reader();
    await page.goto(room.article('dead', drawn));
    await signUp(page, 'dead@example.org');
    const box = page.getByLabel('Code from the letter');
    await box.waitFor();
    const {code} = room.letter('dead@example.org');
    for (let left = 4; left >= 0; --left) {
        await box.fill(String((Number(code) + 1 + left) % 1e6).padStart(6, '0'));
        await page.getByRole('button', {name: 'Confirm'}).click();
        await alert(page).getByText(`Tries left: ${left}.`).waitFor();
    }
    await box.fill(code);
    await page.getByRole('button', {name: 'Confirm'}).click();
    await page.getByText('This code no longer works. Please, open the letter and follow the link in it.').waitFor();
    assert.equal(room.status('dead@example.org', 'explaining-ukraine'), 'pending');
    await picture(page, 'form-code-dead');
    await done();
});

test('another address can be used after all, and two forms on a page do not meddle with each other', async () => {
    const {page, done} = await room.reader();
    await page.goto(room.article('two', `<section aria-label="one">${drawn}</section><section aria-label="two">${drawn}</section>`));
    const one = page.getByRole('region', {name: 'one'}), two = page.getByRole('region', {name: 'two'});
    await signUp(one, 'first@example.org');
    await signUp(two, 'wrong@');
    await two.getByRole('alert').waitFor();
    await one.getByText('Thank you for signing up').waitFor();
    assert.equal(await one.getByRole('alert').count(), 0);
    await accessible(page, 'two forms');
    await one.getByRole('button', {name: 'Use another address'}).click();
    assert.equal(await field(one).inputValue(), 'first@example.org');
    await signUp(one, 'second@example.org');
    await one.getByText('Thank you for signing up').waitFor();
    const ids = await page.locator('[id]').evaluateAll((all) => all.map((one) => one.id));
    assert.equal(new Set(ids).size, ids.length, 'ids are unique');
    await done();
});

test('an article that loads the script for each form has each form once, and each is sent once', async () => {
    const {page, requests, done} = await room.reader();
    const script = `<script src="${room.url}/embed.js"></script>`;
    const own = '<form data-zgoda="opinion"><label>Email <input name="email"></label><button>Go</button></form>';
    await page.goto(room.article('scripts', `${script}${drawn}${script}${drawn}${own}`, script));
    await page.locator('form.zgoda').nth(1).waitFor();
    await page.getByLabel('Email', {exact: true}).fill('once@example.org');
    await page.getByRole('button', {name: 'Go'}).click();
    await page.getByText('Thank you for signing up').waitFor();
    assert.equal(await page.locator('[data-zgoda=explaining-ukraine] form').count(), 2);
    assert.equal(posts(requests).length, 1);
    await done();
});

test('loaded as a module it says on the console what to do instead', async () => {
    const {page, trouble, done} = await room.reader();
    await page.goto(room.article('module', drawn, `<script type="module" crossorigin src="${room.url}/embed.js"></script>`));
    for (let waited = 0; !trouble.length && waited < 5000; waited += 50) await sleep(50);
    assert.match(trouble.splice(0).join(), /zgoda: no form is drawn\. Load embed\.js with <script src=.*not as a module/);
    assert.equal(await page.locator('form').count(), 0);
    await done();
});

test('without JavaScript the snippet leads to our page, and a form of the page itself to its end', async () => {
    const snippet = room.run('newsletter', 'embed', 'war-notes');
    const {page, done} = await room.reader({javaScriptEnabled: false});
    const own = snippet.match(/<form[\s\S]*<\/form>/)[0];
    await page.goto(room.article('still', snippet + own, ''));
    await page.getByRole('textbox').fill('still@example.org');
    await page.getByRole('button').click();
    await page.getByText('Thank you for signing up').waitFor();
    assert.equal(new URL(page.url()).pathname, '/newsletters/war-notes/sent');
    await page.goBack();
    await page.getByRole('link', {name: 'War Notes'}).click();
    assert.equal(new URL(page.url()).pathname, '/newsletters/war-notes');
    await done();
});

test('the snippet works as it is printed, its integrity holds', async () => {
    const snippet = room.run('newsletter', 'embed', 'war-notes');
    const {page, requests, done} = await room.reader();
    await page.goto(room.article('snippet', snippet, ''));
    await field(page).waitFor();
    assert.ok(requests.some((one) => /\/embed\.[0-9a-f]{16}\.js$/.test(one.url())));
    await done();
});

test('another origin that is not allowed may not frame the form, and cannot post', async () => {
    const {page, done, trouble} = await room.reader();
    const other = room.article('elsewhere', `${drawn}<iframe src="${room.url}/newsletters/opinion/embed" title="Opinion"></iframe>`)
        .replace('localhost', '127.0.0.1');
    await page.goto(other).catch(() => {});
    await sleep(500);
    assert.equal(await page.locator('form.zgoda').count(), 0);
    assert.ok(trouble.some((one) => /frame-ancestors/.test(one)), String(trouble));
    trouble.length = 0;
    await done();
});
