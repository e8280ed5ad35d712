"""The goods of the demo's merchants, as data."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.catalog.accounts import AccountField, FieldKind
from app.catalog.models import DeliveryKind


@dataclass(frozen=True, slots=True)
class Pool:
    """Batches of card-keys of one SKU, and how it fares: so many keys, their cost, and days until the last one expires."""

    keys: int
    unit_cost: str
    expires_in_days: int | None = None
    batches: int = 1
    quarantined: int = 0
    """Keys of one more batch that is quarantined."""
    is_sold_out: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One SKU: prices in minor units. `wanted` weighs how often it is bought."""

    name: str
    price_minor: int
    pool: Pool
    was_minor: int | None = None
    face_value_minor: int | None = None
    region: str = ""
    warn_below: int = 10
    wanted: int = 5
    steps: tuple[tuple[int, int], ...] = ()
    """From so many on, one costs so much."""
    by_value: tuple[int, int, int, str, str] | None = None
    """Least value, greatest, step, rate and currency, where it is sold by any value; the price is then that of the least."""
    few_left: int = 0
    """While fewer than so many are left, a tenth is put on the price."""


@dataclass(frozen=True, slots=True)
class Good:
    """One product."""

    name: str
    category: str
    icon: str
    hue: int
    summary: str
    description: str
    usage: str
    items: tuple[Item, ...]
    buyer_limit: int | None = None
    delivery_kind: DeliveryKind = DeliveryKind.CARD_KEY
    is_on_sale: bool = True
    contents: tuple[tuple[str, str, int], ...] = ()
    """What a bundle holds, or a subscription delivers each cycle: product, SKU and how many, all of them goods above it."""
    weeks: int = 0
    """How many weekly cycles the price of a subscription pays for."""
    address: str = ""
    """Where a link leads."""
    file: tuple[str, str] = ("", "")
    """A file it hands out: name and text."""
    account: tuple[AccountField, ...] = ()
    """What its buyer states of the account a top-up credits."""


@dataclass(frozen=True, slots=True)
class Merchant:
    """One merchant: its shop's face and goods."""

    slug: str
    name: str
    tagline: str
    brand_color: str
    support_contact: str
    notice_html: str
    orders: int
    goods: tuple[Good, ...] = field(repr=False)


_REDEEM = (
    "<ol><li>打开应用，进入「我的 · 兑换中心」</li><li>输入卡密并确认</li><li>权益马上到账，可在「我的权益」查看有效期</li></ol>"
)
_WEB = "<ol><li>登录官网，打开「卡密兑换」</li><li>依次输入卡号和密码</li><li>兑换成功后不支持转让</li></ol>"
_SHOP = "<ol><li>到店出示兑换码，或在小程序里输入</li><li>每单限用一张，可与店内优惠同享</li></ol>"
_NO_POOL = Pool(0, "0")

NANZHI = Merchant(
    slug="nanzhi",
    name="南枝小铺",
    tagline="影音会员、游戏点券、生活券，付款后马上看到卡密",
    brand_color="#9a3b1b",
    support_contact="客服微信 nanzhi-help，9:00–22:00",
    notice_html="<p>卡密自动交付，付款后在订单页查看。春节期间照常发货。</p>",
    orders=300,
    goods=(
        Good(
            "云雀视频会员",
            "影音会员",
            "clapperboard",
            2,
            "手机、平板、电视同享，兑换后马上生效",
            "<p>云雀视频会员卡密，<b>官方直供</b>，兑换后可叠加已有会员时长。</p><ul><li>支持手机、平板、电脑</li><li>全年 1080P 免广告</li></ul>",
            _REDEEM,
            (
                Item("月卡", 1490, Pool(420, "11.2", 240, 3), 1990, 1990, wanted=30, steps=((3, 1450), (10, 1390)), few_left=20),
                Item("季卡", 3990, Pool(160, "30.5", 240, 2), 5400, 5400, wanted=14),
                Item("年卡", 13800, Pool(60, "112", 300, 2), 19800, 19800, wanted=9),
            ),
        ),
        Good(
            "浅海音乐会员",
            "影音会员",
            "music",
            3,
            "无损音质，下载不限",
            "<p>浅海音乐会员卡密，可连续兑换多张，时长累加。</p>",
            _REDEEM,
            (
                Item("月卡", 990, Pool(180, "6.8", 180, 2), 1500, 1500, wanted=12),
                Item("季卡", 2690, Pool(26, "19.5", 180), 3900, 3900, warn_below=25, wanted=4),
            ),
        ),
        Good(
            "墨竹阅读会员",
            "阅读学习",
            "book-open",
            1,
            "全场书城畅读，含有声书",
            "<p>墨竹阅读会员，兑换后全场书籍免费读，含 3 万本有声书。</p>",
            _REDEEM,
            (Item("年卡", 4200, Pool(80, "29", 365), 6800, 6800, wanted=7),),
        ),
        Good(
            "启明公开课通卡",
            "阅读学习",
            "graduation-cap",
            4,
            "一张通卡，一年内所有公开课任选",
            "<p>含 200 余门公开课，视频回放一年有效。</p>",
            _WEB,
            (Item("一年", 8800, Pool(30, "60", 400), 12800, 12800, wanted=3),),
            buyer_limit=2,
        ),
        Good(
            "星渡点券",
            "游戏点券",
            "gamepad-2",
            5,
            "充值后可在商城购买外观和道具",
            "<p>星渡通用点券，<b>仅限国服</b>。卡密一经兑换不支持退款。</p>",
            _WEB,
            (
                Item("60 点", 600, Pool(300, "5.4", 120, 2), None, 600, "国服", wanted=16),
                Item("330 点", 2980, Pool(200, "27.2", 120, 2), 3000, 3000, "国服", wanted=14),
                Item("680 点", 5980, Pool(120, "54.6", 5), 6000, 6000, "国服", wanted=10),
                Item("1,280 点", 11800, Pool(24, "108", 120, is_sold_out=True), 12800, 12800, "国服", wanted=0),
            ),
        ),
        Good(
            "长风对战季票",
            "游戏点券",
            "swords",
            2,
            "当季全部奖励，角色等级不限",
            "<p>激活后解锁当季高级奖励轨道，赛季结束前有效。</p>",
            _REDEEM,
            (Item("高级季票", 6800, Pool(50, "55", 45, quarantined=30), 8800, 8800, "国服", wanted=6),),
        ),
        Good(
            "山前咖啡兑换券",
            "生活美食",
            "coffee",
            6,
            "全国门店可用，任意中杯饮品",
            "<p>山前咖啡中杯任意饮品一杯，周末可用。</p>",
            _SHOP,
            (
                Item("中杯一杯", 1290, Pool(260, "9.9", 60, 2), 2200, 2200, wanted=22),
                Item("中杯五杯", 5990, Pool(80, "48", 60), 11000, 11000, wanted=6),
            ),
        ),
        Good(
            "青禾轻食代金券",
            "生活美食",
            "utensils",
            4,
            "堂食、外送都能用",
            "<p>满 31 元可用，每单限一张。</p>",
            _SHOP,
            (Item("30 元券", 2390, Pool(120, "19.8", 9), 3000, 3000, warn_below=30, wanted=9),),
        ),
        Good(
            "拾光云盘会员",
            "办公工具",
            "cloud",
            3,
            "5 TB 空间，下载不限速",
            "<p>拾光云盘会员卡密，可与手机端共享。</p>",
            _REDEEM,
            (
                Item("月卡", 1790, Pool(120, "13", 200), 2500, 2500, wanted=9),
                Item("年卡", 15800, Pool(30, "128", 300), 22800, 22800, wanted=4),
            ),
        ),
        Good(
            "简页文档专业版",
            "办公工具",
            "file-text",
            1,
            "多人协作，历史版本不限",
            "<p>简页文档专业版序列号，一机一码。</p>",
            _WEB,
            (Item("一年一机", 9900, Pool(40, "70", 500), 12900, 12900, wanted=4),),
            buyer_limit=5,
        ),
        Good(
            "轻云出行月票",
            "出行",
            "bike",
            5,
            "30 天内骑行不限次",
            "<p>轻云单车月票，每次 60 分钟内免费。</p>",
            _REDEEM,
            (Item("30 天", 1580, Pool(90, "11.9", 90), 2000, 2000, wanted=8),),
        ),
        Good(
            "北桥地铁次票",
            "出行",
            "train-front",
            6,
            "扫码进站，一次一码",
            "<p>北桥地铁单程次票，不限里程。</p>",
            _SHOP,
            (Item("10 次", 2680, Pool(60, "22", 150), 3000, 3000, wanted=5),),
        ),
        Good(
            "云雀视频家庭卡",
            "影音会员",
            "tv",
            2,
            "六人同享，暂时下架换货",
            "<p>云雀视频家庭卡，最多六个账号。</p>",
            _REDEEM,
            (Item("季卡", 6900, Pool(18, "52", 240), 9000, 9000, wanted=0),),
            is_on_sale=False,
        ),
        Good(
            "话费直充",
            "生活缴费",
            "smartphone",
            3,
            "充到手机号，一般 1 分钟到账",
            "<p>直充到买家填写的手机号。</p>",
            "",
            (
                Item("50 元", 4980, _NO_POOL, None, 5000),
                Item("100 元", 9950, _NO_POOL, None, 10000),
            ),
            delivery_kind=DeliveryKind.DIRECT_TOP_UP,
            is_on_sale=False,
            account=(AccountField("phone", "手机号", FieldKind.PHONE),),
        ),
        Good(
            "海外话费",
            "生活缴费",
            "globe",
            4,
            "充到国外手机号，面值任选",
            "<p>面值以美元计，按当日售价折合人民币。号码要带国家代码。</p>",
            "",
            (Item("任意金额", 3750, _NO_POOL, by_value=(500, 5_000, 500, "7.5", "USD")),),
            delivery_kind=DeliveryKind.DIRECT_TOP_UP,
            is_on_sale=False,
            account=(AccountField("phone", "手机号", FieldKind.WORLD_PHONE, hint="带国家代码，例如 +44 7400 123456。"),),
        ),
        Good(
            "下午茶组合",
            "生活美食",
            "gift",
            6,
            "咖啡一杯配轻食一份",
            "<p>山前咖啡中杯一杯，青禾轻食 30 元券一张。</p>",
            "",
            (Item("单人", 3480, _NO_POOL, 5200, wanted=5),),
            delivery_kind=DeliveryKind.BUNDLE,
            contents=(("山前咖啡兑换券", "中杯一杯", 1), ("青禾轻食代金券", "30 元券", 1)),
        ),
        Good(
            "山前咖啡周订",
            "生活美食",
            "coffee",
            6,
            "每周一杯中杯，到日子自动送到订单页",
            "<p>付款后马上拿到第一周的兑换券，之后每周自动交付一张。</p>",
            _SHOP,
            (Item("四周", 4600, _NO_POOL, 5160, wanted=6),),
            delivery_kind=DeliveryKind.SUBSCRIPTION,
            contents=(("山前咖啡兑换券", "中杯一杯", 1),),
            weeks=4,
        ),
    ),
)

BANSHAN = Merchant(
    slug="banshan",
    name="半山数字",
    tagline="企业采购也放心的卡券小店",
    brand_color="#1f5f8b",
    support_contact="support@banshan.example",
    notice_html="",
    orders=40,
    goods=(
        Good(
            "松涛听书会员",
            "听书",
            "headphones",
            3,
            "睡前一小时，通勤一小时",
            "<p>松涛听书会员卡密，全场有声书畅听。</p>",
            _REDEEM,
            (
                Item("月卡", 1290, Pool(90, "9", 200), 1800, 1800, wanted=10),
                Item("年卡", 9800, Pool(30, "70", 300), 16800, 16800, wanted=5),
            ),
        ),
        Good(
            "远山影城兑换码",
            "电影",
            "film",
            2,
            "全国 300 家影城，2D 通兑",
            "<p>周末节假日可用，3D 场次补差价。</p>",
            _SHOP,
            (Item("2D 通兑", 3290, Pool(60, "27", 80), 5000, 5000, wanted=12),),
        ),
        Good(
            "芦苇表格团队版",
            "办公",
            "palette",
            1,
            "五人团队，一年授权",
            "<p>芦苇表格团队版序列号。</p>",
            _WEB,
            (Item("五人一年", 29900, Pool(12, "220", 400), 39900, 39900, wanted=3),),
        ),
        Good(
            "半山夜景摄影课",
            "课程",
            "film",
            5,
            "十二节视频课，附讲义下载",
            "<p>从构图到后期，十二节课，看完还能反复看。</p>",
            "<p>点开专属链接进入课堂；讲义在同一页下载。</p>",
            (Item("全套十二节", 9900, _NO_POOL, 12900, wanted=3),),
            delivery_kind=DeliveryKind.LINK,
            address="https://school.example/night-photography?key={token}",
            file=("夜景摄影讲义.txt", "第一节 找到光\n第二节 三脚架与快门\n第三节 城市夜景的白平衡\n"),
        ),
        Good(
            "半山礼品卡",
            "礼品",
            "gift",
            6,
            "面值到账，全店通用",
            "<p>礼品卡正在准备中。</p>",
            "",
            (Item("100 元", 10000, _NO_POOL),),
            delivery_kind=DeliveryKind.VOUCHER,
            is_on_sale=False,
        ),
    ),
)

MERCHANTS = (NANZHI, BANSHAN)
