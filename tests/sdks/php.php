<?php

// What intercom-php 4 and 5 send with curl, header by header, and what they read of the answers. Fails by an exception.

declare(strict_types=1);

const ORDER = 'placed-order';
$asked = json_decode(getenv('SDK'), true, flags: JSON_THROW_ON_ERROR);

final class Refused extends Exception
{
    public function __construct(public readonly int $status, public readonly array $body)
    {
        parent::__construct("$status");
    }
}

final class Intercom
{
    public array $headers = [];

    public function __construct(private array $asked, private string $token, private int $version)
    {
    }

    public function get(string $path, array $query = []): mixed
    {
        return $this->send('GET', $query ? "$path?" . http_build_query($query) : $path);
    }

    public function post(string $path, array $body): mixed
    {
        return $this->send('POST', $path, json_encode($body));
    }

    public function put(string $path, array $body): mixed
    {
        return $this->send('PUT', $path, json_encode($body));
    }

    /** Version 4 writes an empty array, which is a list in JSON. */
    public function delete(string $path): mixed
    {
        return $this->send('DELETE', $path, $this->version === 4 ? json_encode([]) : null);
    }

    private function send(string $method, string $path, ?string $body = null): mixed
    {
        $url = str_starts_with($path, 'http') ? $path : $this->asked['url'] . $path;
        $request = curl_init($url);
        $this->headers = [];
        curl_setopt_array($request, [
            CURLOPT_CUSTOMREQUEST => $method,
            CURLOPT_HTTPHEADER => $this->sent($body !== null),
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT => 30,
            CURLOPT_HEADERFUNCTION => function ($_, string $line): int {
                [$name, $value] = array_pad(explode(':', $line, 2), 2, '');
                $this->headers[strtolower($name)] = trim($value);
                return strlen($line);
            },
        ]);
        if ($body !== null) {
            curl_setopt($request, CURLOPT_POSTFIELDS, $body);
        }
        $text = curl_exec($request);
        if ($text === false) {
            throw new Exception(curl_error($request));
        }
        $status = curl_getinfo($request, CURLINFO_RESPONSE_CODE);
        $said = $text === '' ? null : json_decode($text, flags: JSON_THROW_ON_ERROR);
        if ($status >= 300) {
            throw new Refused($status, json_decode($text, true, flags: JSON_THROW_ON_ERROR));
        }
        return $said;
    }

    private function sent(bool $hasBody): array
    {
        $token = $this->asked['tokens'][$this->token];
        if ($this->version === 4) {
            // A GET has a type of content, too, and no content.
            return [
                "Authorization: Bearer $token", 'Accept: application/json', 'Content-Type: application/json',
                'User-Agent: Intercom-PHP/4.5.1',
            ];
        }
        return [
            "Authorization: Bearer $token", 'Accept: */*', 'Intercom-Version: 2.11', 'X-Fern-Language: PHP',
            'X-Fern-SDK-Name: Intercom', ...($hasBody ? ['Content-Type: application/json'] : []),
        ];
    }
}

function same(mixed $told, mixed $expected): void
{
    if ($told !== $expected) {
        throw new Exception(json_encode($told) . ' instead of ' . json_encode($expected));
    }
}

function refused(callable $call, int $status, string $code): Refused
{
    try {
        $call();
    } catch (Refused $refused) {
        same([$refused->status, $refused->body['type'], $refused->body['errors'][0]['code']], [$status, 'error.list', $code]);
        return $refused;
    }
    throw new Exception("not refused with $status");
}

function event(int $number = 0, array $more = []): array
{
    global $asked;
    return $more + ['event_name' => ORDER, 'created_at' => $asked['at'] + $number, 'user_id' => 'sdk-user'];
}

function people(Intercom $four, Intercom $five): array
{
    $made = $five->post('/contacts', [
        'external_id' => 'sdk-user', 'email' => 'sdk@example.org', 'custom_attributes' => ['plan' => 'pro'],
    ]);
    same([$made->type, $made->avatar, $made->owner_id], ['contact', null, null]);
    same(is_int($made->created_at), true);
    $changed = $five->put("/contacts/$made->id", ['name' => 'Ada', 'custom_attributes' => ['seats' => 3]]);
    same([$changed->name, (array) $changed->custom_attributes], ['Ada', ['plan' => 'pro', 'seats' => 3]]);
    same($four->get("/contacts/$made->id")->external_id, 'sdk-user');
    $query = ['field' => 'email', 'operator' => '=', 'value' => 'sdk@example.org'];
    same($five->post('/contacts/search', ['query' => $query])->data[0]->id, $made->id);
    $four->post('/users', ['user_id' => 'gone', 'email' => 'gone@example.org']);
    same($four->get('/users', ['email' => 'gone@example.org'])->user_id, 'gone');
    $page = $four->get('/users', ['per_page' => 1]);
    $seen = array_column($page->users, 'user_id');
    while ($page->pages->next) {
        $page = $four->get($page->pages->next);
        array_push($seen, ...array_column($page->users, 'user_id'));
    }
    same($seen, ['gone', 'sdk-user']);
    $gone = $four->get('/users', ['user_id' => 'gone'])->id;
    same($four->delete("/users/$gone")->user_id, 'gone');
    refused(fn () => $four->get('/users', ['user_id' => 'gone']), 404, 'not_found');
    $lead = $five->post('/contacts', ['role' => 'lead', 'email' => 'lead@example.org']);
    $other = $four->post('/contacts', ['role' => 'lead']);
    same($four->delete("/contacts/$other->id")->deleted, true);
    return [$made, $lead];
}

function events(Intercom $four, Intercom $five, object $lead): void
{
    global $asked;
    foreach (range(0, 4) as $number) {
        $sdk = $number % 2 ? $four : $five;
        same($sdk->post('/events', event($number, ['metadata' => $asked['metadata']])), null);
    }
    $five->post('/events', ['event_name' => 'asked', 'created_at' => $asked['at'], 'id' => $lead->id]);
    $page = $four->get('/events', ['type' => 'user', 'user_id' => 'sdk-user', 'per_page' => 2]);
    $times = array_column($page->events, 'created_at');
    while (isset($page->pages->next)) {
        $page = $four->get($page->pages->next);
        array_push($times, ...array_column($page->events, 'created_at'));
    }
    same($times, array_map(fn ($number) => $asked['at'] + $number, [4, 3, 2, 1, 0]));
    $summary = $five->get('/events', ['type' => 'user', 'user_id' => 'sdk-user', 'summary' => 'true']);
    same([$summary->events[0]->name, $summary->events[0]->count], [ORDER, 5]);
}

function tagsAndSegments(Intercom $four, Intercom $five, object $contact): void
{
    $tag = $five->post('/tags', ['name' => 'VIP']);
    same($four->post("/contacts/$contact->id/tags", ['id' => $tag->id])->name, 'VIP');
    same($five->get("/contacts/$contact->id/tags")->data[0]->id, $tag->id);
    same($four->delete("/contacts/$contact->id/tags/$tag->id")->id, $tag->id);
    same($five->get('/tags')->data[0]->name, 'VIP');
    same($five->delete("/tags/$tag->id"), null);
    same($four->get('/segments')->segments, []);
    same($five->get('/me')->app->type, 'app');
    same($four->get('/admins')->admins, []);
}

function allErrors(array $asked, Intercom $four, Intercom $five): void
{
    foreach ([4, 5] as $version) {
        refused(fn () => (new Intercom($asked, 'wrong', $version))->post('/events', event()), 401, 'unauthorized');
        refused(fn () => (new Intercom($asked, 'read', $version))->post('/events', event()), 403, 'forbidden');
    }
    refused(fn () => $four->post('/events', event(0, ['created_at' => 'now'])), 400, 'parameter_invalid');
    refused(fn () => $five->post('/events', ['event_name' => 'x', 'created_at' => 1]), 400, 'parameter_not_found');
    $few = new Intercom($asked, 'few_names', 5);
    $few->post('/events', event(0, ['event_name' => 'one']));
    refused(fn () => $few->post('/events', event(0, ['event_name' => 'two'])), 422, '422');
    $slow = new Intercom($asked, 'slow', 4);
    $many = fn () => array_map(fn ($number) => $slow->post('/events', event($number)), range(0, 5));
    refused($many, 429, 'rate_limit_exceeded');
    // It tells how long to wait of these alone.
    same([$slow->headers['x-ratelimit-limit'], $slow->headers['x-ratelimit-remaining']], ['2', '0']);
    same((int) $slow->headers['x-ratelimit-reset'] > time() - 10, true);
}

$four = new Intercom($asked, 'admin', 4);
$five = new Intercom($asked, 'admin', 5);
[$made, $lead] = people($four, $five);
events($four, $five, $lead);
tagsAndSegments($four, $five, $made);
allErrors($asked, $four, $five);
echo json_encode(['id' => $made->id, 'lead' => $lead->id]);
