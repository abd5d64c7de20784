// A newsletter's form on any page: <div data-zgoda="slug"></div> draws one, <form data-zgoda="slug"> makes one that the
// page has already work in place. Runs with all rights of that page; so it sets text as text, takes no markup or style from
// anywhere, keeps nothing, follows only http(s), and sends of the page only origin and path.
(() => {
    const script = document.currentScript;
    if (!script || !/^https?:/.test(script.src))
        return console.error('zgoda: no form is drawn. Load embed.js with <script src="https://.../embed.js" async></script>: not as a module, and not from a bundle.');
    const base = new URL('.', script.src);
    const unreachable = "{{unreachable}}";
    const asked = '[name=newsletters], [name=newsletter]';
    const known = /^(name|locale|form|source|website|browser|newsletters?|(consent|fields)\b.*)$/;

    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`
    .zgoda { max-width: var(--zgoda-width, 36rem); color: var(--zgoda-text, inherit); font: var(--zgoda-font, inherit) }
    .zgoda * { box-sizing: border-box }
    .zgoda p, .zgoda fieldset { margin: 0 0 .75em; padding: 0; border: 0 }
    .zgoda legend { padding: 0; font-weight: 600 }
    .zgoda label { display: block; margin: 0 0 .35em; font-weight: 600 }
    .zgoda .zgoda-choice { display: flex; gap: .6em; align-items: baseline; font-weight: inherit }
    .zgoda-row { display: flex; flex-wrap: wrap; gap: .5em; margin: 0 0 .75em }
    .zgoda-row input, .zgoda-field { flex: 1 1 12em; width: 100%; min-width: 0; margin: 0; padding: .6em .75em; font: inherit; color: var(--zgoda-field-text, FieldText); background: var(--zgoda-field, Field); border: 1px solid var(--zgoda-line, #767676); border-radius: var(--zgoda-radius, .3em) }
    .zgoda-field { display: block; margin: .35em 0 .75em; font-weight: 400 }
    .zgoda-row input[name=code] { flex: 0 1 8em; letter-spacing: .2em }
    .zgoda button, .zgoda-note button { width: auto; margin: 0; font: inherit; cursor: pointer; border-radius: var(--zgoda-radius, .3em) }
    .zgoda .zgoda-row button { padding: .6em 1.2em; font-weight: 600; color: var(--zgoda-on-accent, #fff); background: var(--zgoda-accent, #1d5c4d); border: 1px solid transparent }
    .zgoda .zgoda-plain, .zgoda-note .zgoda-plain { padding: .3em 0; color: inherit; font-weight: inherit; background: none; border: 0; text-align: start; text-decoration: underline }
    .zgoda :focus-visible, .zgoda-note :focus-visible { outline: 3px solid var(--zgoda-focus, currentColor); outline-offset: 1px }
    .zgoda-small { font-size: .875em }
    .zgoda-trap { position: absolute; left: -200vw }
    .zgoda-note { flex-basis: 100%; margin: .25em 0 .75em; padding-inline-start: .75em; border-inline-start: .25em solid var(--zgoda-line, currentColor) }
    .zgoda-note[role=alert] { border-color: var(--zgoda-wrong, #c0392b) }
    .zgoda-note > * { display: block }
    .zgoda-done { font-weight: 600 }
    [data-zgoda-on][hidden] { display: none !important }`);
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];

    const make = (tag, attributes, ...children) => {
        const element = document.createElement(tag);
        for (const name in attributes) element.setAttribute(name, attributes[name]);
        element.append(...children);
        return element;
    };
    const input = (attributes) => make('input', {autocapitalize: 'none', spellcheck: 'false', ...attributes});
    const plain = (text, action) => {
        const button = make('button', {type: 'button', class: 'zgoda-plain'}, text);
        button.onclick = action;
        return button;
    };
    const ask = (path, options) => fetch(new URL(path, base), {
        credentials: 'omit', referrerPolicy: 'no-referrer', headers: {Accept: 'application/json'},
        signal: AbortSignal.timeout?.(20000), ...options,
    });

    // What the server says of a newsletter: its words, fields and consent, in the reader's language. Asked once.
    const answers = {};
    const describe = (slug, locale = '') => {
        const path = (slug && `newsletters/${encodeURIComponent(slug)}/`) + `embed.json?locale=${encodeURIComponent(locale)}`;
        answers[path] ??= ask(path).then((response) => response.ok ? response.json() : Promise.reject(response.status));
        answers[path].catch(() => delete answers[path]);
        return answers[path];
    };
    const wording = ({consent, texts}) => {
        const link = /^https?:/.test(consent.privacy_url) && make('a', {href: consent.privacy_url}, texts.privacy);
        return [consent.text, ...link ? [' ', link] : []];
    };
    const same = (all) => all.every(({consent: {text, privacy_url}}) => text == all[0].consent.text && privacy_url == all[0].consent.privacy_url);
    const consents = (all) => all.map(({slug, consent}) => make('input', {type: 'hidden', name: `consent[${slug}]`, value: consent.id}));

    // Says something beside a control; an alarm with its `invalid` control marks that as wrong and leads to it.
    let ids = 0;
    const speaker = (where) => {
        const id = `zgoda-${++ids}`;
        let note, wrong, described;
        const clear = () => {
            note?.remove();
            wrong?.removeAttribute('aria-invalid');
            if (described) wrong?.setAttribute('aria-describedby', described);
            else wrong?.removeAttribute('aria-describedby');
            note = wrong = null;
        };
        return {id, clear, say: (words, role, invalid, ...content) => {
            clear();
            note = make('div', {id, role, lang: words.locale, dir: words.dir, class: 'zgoda-note'}, ...content);
            const place = invalid || where;
            (place.closest(place.type == 'checkbox' ? 'fieldset' : '.zgoda-row, label') || place).after(note);
            if (!invalid) return;
            wrong = invalid;
            described = wrong.getAttribute('aria-describedby');
            wrong.setAttribute('aria-invalid', 'true');
            wrong.setAttribute('aria-describedby', described ? `${described} ${id}` : id);
            wrong.focus();
        }};
    };
    const line = (text) => make('span', {}, text);

    // Posts, with the form marked as busy. Gives the status (0: nobody answered) and what was answered.
    const post = async (form, path, options) => {
        form.setAttribute('aria-busy', 'true');
        let status = 0, answer = {};
        try {
            const response = await ask(path, {method: 'POST', ...options});
            status = response.status;
            answer = await response.json();
        } catch { /* what it says is not needed then */ }
        form.removeAttribute('aria-busy');
        return {status, answer};
    };
    const trouble = (texts, status, answer) =>
        !status ? texts.offline : status == 429 ? texts.too_many : status < 500 && answer.detail || texts.unavailable;

    // After a signup: what became of the letter, and the box for its code.
    const follow = (form, words, ticket, message, suggestion, back) => {
        const texts = words.texts;
        const box = input({name: 'code', inputmode: 'numeric', autocomplete: 'one-time-code', required: ''});
        const {id, say, clear} = speaker(box);
        box.id = `${id}-code`;
        const done = make('p', {class: 'zgoda-done', tabindex: -1}, message);
        const hint = make('p', {class: 'zgoda-small', role: 'status'}, texts.code_hint);
        const confirm = make('form', {novalidate: ''}, make('label', {for: box.id}, texts.code),
            make('div', {class: 'zgoda-row'}, box, make('button', {}, texts.confirm)));
        const panel = make('div', {class: 'zgoda', lang: words.locale, dir: words.dir}, done, hint, confirm);
        const leave = (address, why) => { panel.remove(); form.hidden = false; back(address, why); };
        const typo = plain(suggestion ? texts.did_you_mean.replace('{address}', suggestion) : texts.other_address,
            () => leave(suggestion));
        panel.append(typo);
        form.hidden = true;
        form.after(panel);
        done.focus();

        const finish = (text) => {
            confirm.remove();
            hint.remove();
            typo.remove();
            done.textContent = text;
            done.focus();
        };
        confirm.onsubmit = async (event) => {
            event.preventDefault();
            const code = box.value.replace(/\D/g, '');
            if (confirm.matches('[aria-busy]')) return;
            if (code.length != 6) return say(words, 'alert', box, line(texts.code_incomplete));
            say(words, 'status', null, line(texts.checking));
            const {status, answer} = await post(confirm, 'v1/confirmations', {
                headers: {Accept: 'application/json', 'Content-Type': 'application/json'},
                body: JSON.stringify({ticket, code}),
            });
            if (status == 200) return finish(texts.subscribed);
            clear();
            if (status == 410 || status == 404) return finish(texts.code_dead);
            if (answer.tries_left == null) return say(words, 'alert', null, line(trouble(texts, status, answer)));
            say(words, 'alert', box, line(texts.code_wrong.replace('{tries}', answer.tries_left)));
        };

        const look = async (wait) => {
            await new Promise((ready) => setTimeout(ready, wait));
            if (!hint.isConnected) return;
            const response = await ask(`v1/tickets/${ticket}?locale=${words.locale}`).catch(() => null);
            const {status, detail} = response?.ok ? await response.json() : {};
            if (!hint.isConnected) return;
            if (status == 'refused') return leave('', texts.no_mailbox);
            if (detail && hint.textContent != detail) hint.textContent = detail;
            if (status != 'sent' && wait < 60000) look(wait * 2);
        };
        look(2000);
    };

    // Makes a form work in place. `load` gives the words, and is asked again if that failed.
    const attend = (form, email, options, load) => {
        const {say, clear} = speaker(email);
        const attempt = async () => {
            let words;
            try {
                words = await load();
            } catch { /* below */ }
            if (!words) {
                const locale = options.locale || document.documentElement.lang.slice(0, 2);
                return say({locale, dir: ''}, 'alert', null, line(unreachable[locale] || unreachable.en));
            }
            const texts = words.texts;
            const data = new URLSearchParams();
            for (const [name, value] of new FormData(form))
                if (known.test(name) && typeof value == 'string') data.append(name, value);
            const address = email.value.trim();
            data.set('email', address);
            if (!form.querySelector(asked)) for (const slug of options.slugs) data.append('newsletters', slug);
            if (!data.has('locale')) data.set('locale', words.locale);
            try {
                const source = new URL(options.source || data.get('source') || location.href, location.href);
                if (/^http/.test(source.protocol)) data.set('source', source.origin + source.pathname);
            } catch { data.delete('source'); }
            if (options.form) data.set('form', options.form);

            if (!data.has('newsletter') && !data.has('newsletters'))
                return say(words, 'alert', form.querySelector(asked), line(texts.tick_one));
            if (!address) return say(words, 'alert', email, line(texts.empty));
            say(words, 'status', null, line(texts.checking));
            const {status, answer} = await post(form, 'v1/subscriptions', {body: data});
            clear();
            if (status == 202) return follow(form, words, answer.ticket, answer.message, answer.suggestion, again);
            const problem = answer.errors?.[0];
            if (status != 422 || !problem) return say(words, 'alert', null, line(trouble(texts, status, answer)));
            const at = problem.pointer == '/email' ? email : form.elements[problem.pointer.replace(/^.fields.(.*)/, 'fields[$1]')];
            const said = [line(problem.detail)];
            if (at == email) said.unshift(line(texts.wrong_email));
            const {suggestion} = answer;
            if (suggestion) said.push(plain(texts.did_you_mean.replace('{address}', suggestion), () => again(suggestion)));
            say(words, 'alert', at?.focus ? at : null, ...said);
        };
        // Back at the form: with another address it is sent anew, with a reason that stands beside the field.
        const again = async (address, why) => {
            if (address) {
                email.value = address;
                attempt();
            } else if (why) {
                say(await load(), 'alert', email, line(why));
            } else {
                email.focus();
            }
        };
        form.noValidate = true;
        form.addEventListener('submit', (event) => {
            event.preventDefault();
            if (!form.matches('[aria-busy]')) attempt();
        });
    };

    const upgrade = (form, options) => {
        const email = form.querySelector('[name=email], [type=email]');
        if (!email) return;
        const load = () => describe(options.slugs[0] || '', options.locale);
        const place = form.querySelector('[data-zgoda-consent]');
        // What the form can ask for, ticked or not: each has a wording, and those that say the same share one.
        const agree = async () => {
            const own = [...form.querySelectorAll(asked)].flatMap((one) => [...one.options || [one]].map(({value}) => value));
            const {locale} = await load();
            const slugs = [...new Set(own.length ? own : options.slugs)].filter(Boolean);
            const all = (await Promise.all(slugs.map((slug) => describe(slug, locale).catch(() => null)))).filter(Boolean);
            place.replaceChildren(...same(all) ? wording(all[0]) :
                all.flatMap((one, i) => [...i ? [make('br')] : [], `${one.name}: `, ...wording(one)]));
            form.append(...consents(all));
        };
        if (place) agree().catch(() => {});
        attend(form, email, options, load);
    };

    const draw = async (place, options) => {
        const first = await describe(options.slugs[0], options.locale);
        const rest = await Promise.all(options.slugs.slice(1).map((slug) => describe(slug, first.locale).catch(() => null)));
        const all = [first, ...rest].filter(Boolean);
        const open = all.filter((one) => one.open);
        const {texts} = first;
        if (!open.length) return place.replaceChildren(make('p', {lang: first.locale, dir: first.dir}, texts.closed));

        const id = `zgoda-${++ids}`;
        const star = () => make('span', {'aria-hidden': 'true'}, ' *');
        const form = make('form', {class: 'zgoda', lang: first.locale, dir: first.dir, novalidate: ''});
        const alike = same(open);
        const choice = (attributes, ...content) =>
            make('label', {class: 'zgoda-choice'}, make('input', {type: 'checkbox', ...attributes}), make('span', {}, ...content));
        if (all.length > 1) {
            const choices = open.map((one) => one.fields.some((field) => field.required) ?
                make('p', {}, make('a', {href: new URL(`newsletters/${one.slug}?locale=${one.locale}`, base)}, one.name)) :
                choice({name: 'newsletters', value: one.slug}, one.name,
                       ...alike ? [] : [make('span', {class: 'zgoda-small'}, ' ', ...wording(one))]));
            form.append(make('fieldset', {}, make('legend', {}, texts.choose), ...choices));
        }
        const email = input({id: `${id}-email`, name: 'email', inputmode: 'email', autocomplete: 'email', required: ''});
        const extra = all.length > 1 ? [] : open[0].fields.map(({name, label: words, type, required}) => {
            const named = {name: `fields[${name}]`, ...required && {required: ''}};
            const label = [words, ...required ? [star()] : []];
            if (type == 'boolean') return choice({...named, value: 'true'}, ...label);
            return make('label', {}, ...label, input({...named, class: 'zgoda-field', type: type == 'date' ? 'date' : 'text'}));
        });
        form.append(...extra,
            make('label', {for: email.id}, texts.enter_email, star()),
            make('div', {class: 'zgoda-row'}, email, make('button', {}, texts.subscribe)),
            make('p', {class: 'zgoda-trap', 'aria-hidden': 'true'},
                make('label', {}, texts.leave_empty, input({name: 'website', tabindex: -1, autocomplete: 'off'}))),
            ...consents(open),
            ...alike ? [make('p', {class: 'zgoda-small'}, ...wording(open[0]))] : [],
            make('p', {class: 'zgoda-small'}, texts.required));
        place.replaceChildren(form);
        form.toggleAttribute('data-zgoda-on', true);
        attend(form, email, options, () => Promise.resolve(first));
    };

    const start = () => {
        for (const place of document.querySelectorAll('[data-zgoda]:not([data-zgoda-on])')) {
            place.toggleAttribute('data-zgoda-on', true);
            const {zgoda, locale, source, form} = place.dataset;
            const options = {slugs: zgoda.split(/[\s,]+/).filter(Boolean), locale, source, form};
            if (place.tagName == 'FORM') upgrade(place, options);
            else if (options.slugs.length) draw(place, options).catch(() => {});
        }
    };
    if (document.readyState == 'loading') addEventListener('DOMContentLoaded', start);
    else start();

    // A page of ours in a frame says how high it is: by itself, and when it is asked because it was here first.
    addEventListener('message', ({origin, data, source}) => {
        if (origin != base.origin || !(data?.zgoda > 0)) return;
        for (const frame of document.querySelectorAll('iframe'))
            if (frame.contentWindow == source) frame.style.height = `${Math.min(data.zgoda, 5000)}px`;
    });
    const heights = () => {
        for (const frame of document.querySelectorAll('iframe'))
            if (frame.src.startsWith(base)) frame.contentWindow.postMessage('zgoda', '*');
    };
    heights();
    addEventListener('load', heights);  // a frame out of sight does not notice that it has another width now
})();
