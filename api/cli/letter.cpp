#include "mailer/letter.h"

#include <fmt/format.h>

#include "api/cli/address.h"
#include "api/cli/output.h"
#include "api/cli/sending.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/confirmation.h"
#include "service/preferences.h"
#include "service/printable.h"

namespace zgoda::cli {

Exit letter_preview(const LetterPreview& options, const config::Settings& settings,
                    const service::Rules& rules, service::Store& store) {
    auto loaded = letter_templates(settings, rules.texts);
    if (const auto* problem = std::get_if<config::Problem>(&loaded))
        return fail(Exit::usage, problem->sentence);
    const auto& templates = std::get<mailer::Templates>(loaded);

    std::shared_ptr<const service::Newsletters> newsletters;
    service::look(store, [&](service::Reader& reader) { newsletters = reader.newsletters(); });
    const service::Newsletter* newsletter = newsletters->find(options.slug);
    if (newsletter == nullptr) {
        return fail(Exit::not_found,
                    fmt::format("there is no newsletter {}; `zgoda newsletter list` shows all",
                                service::printable(options.slug)));
    }

    const service::TimeMs now = clock_now();
    service::LeasedLetter
        sample;  // as the outbox would hand it out, for nobody, with links that lead nowhere
    sample.letter.kind = options.kind;
    sample.letter.locale = rules.texts.choose(options.locale, "", newsletter->locale());
    sample.letter.created_at = now;
    sample.letter.expires_at =
        now +
        (options.kind == service::LetterKind::preference_link ? service::preferences_life : rules.link_life);
    sample.letter.message_id = "preview@" + rules.message_id_domain;
    sample.person.address = sample.person.envelope = "reader@example.org";
    service::LeasedLetter::Named named{
        newsletter->id, newsletter->slug, newsletter->name(sample.letter.locale), "", "v1.sample", {}};
    const bool own_text =
        options.kind == service::LetterKind::welcome || options.kind == service::LetterKind::goodbye;
    if (own_text) {
        named.text = newsletter->setting(service::word(options.kind), sample.letter.locale);
        if (named.text.empty()) {
            named.text = fmt::format(
                "(What `zgoda newsletter edit {} --{} TEXT` says. Without it this letter is not sent.)",
                newsletter->slug, service::word(options.kind));
            fmt::print(stderr, "zgoda: warning: {} has no {} text, so no such letter is sent\n",
                       newsletter->slug, service::word(options.kind));
        }
    }
    const bool of_newsletters = options.kind != service::LetterKind::preference_link &&
                                options.kind != service::LetterKind::address_change;
    if (of_newsletters) {
        sample.newsletters.push_back(std::move(named));
        sample.from = newsletter->setting("from");
        sample.reply_to = newsletter->setting("reply_to");
    }
    sample.asked_at = now;
    sample.code = "123456";
    sample.confirm_token = sample.preferences_token = "v1.sample";
    sample.old_address = service::masked(sample.person.address);
    sample.new_address = service::masked("new.address@example.org");

    const mailer::Stationery stationery = stationery_of(settings);
    Output output(options.output);
    try {
        output.write(mailer::build_message(
            mailer::LetterRenderer(templates, rules.texts, stationery).render(sample, now)));
    } catch (const std::invalid_argument& why) {
        return fail(Exit::failed, fmt::format("this letter could not be sent: {}", why.what()));
    }
    output.finish();
    return output.problem() ? fail(Exit::failed, *output.problem()) : Exit::done;
}

}  // namespace zgoda::cli
