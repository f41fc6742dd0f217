"""Common names of a post's columns, for files of unknown exporters: lower case, letters and digits alone."""

from __future__ import annotations

COMMON_NAMES: dict[str, tuple[str, ...]] = {
    "post_id": (
        *("postid", "videoid", "vidid", "videopk", "awemeid", "itemid", "mediaid", "reelid", "shortid", "tiktokid"),
        *("id", "pk", "videourl", "posturl", "tiktokurl", "webvideourl", "pageurl", "permalink", "url", "link"),
    ),
    "author_id": (
        *("authorid", "userid", "uploaderid", "ownerid", "channelid", "creatorid", "authoruniqueid", "authorusername"),
        *("username", "author", "uploader", "channel", "channeltitle", "creator", "accountid", "account", "owner"),
    ),
    "posted_at": (
        *("postedat", "createtime", "createtimeiso", "publishedat", "publishtime", "publisheddate", "uploaddate"),
        *("postdate", "posttime", "createdat", "timestamp", "takenat", "datetime", "date", "videotimestamp"),
    ),
    "scraped_at": ("scrapedat", "scrapetime", "collectedat", "retrievedat", "fetchedat", "crawledat", "crawltime"),
    "caption": ("caption", "description", "desc", "videodescription", "text", "title", "body", "message"),
    "hashtags": ("hashtags", "hashtagnames", "tags", "challenges"),
    "sound_id": ("soundid", "musicid", "audioid"),
    "sound_title": ("soundtitle", "musictitle", "musicname", "soundname", "audiotitle", "track"),
    "sound_original": ("soundoriginal", "musicoriginal", "isoriginalsound"),
    "duration_seconds": ("durationseconds", "videodurationsec", "videoduration", "duration", "videolength", "length"),
    "views": ("views", "viewcount", "videoviewcount", "playcount", "videoplaycount", "plays", "view", "viewscount"),
    "likes": ("likes", "likecount", "videolikecount", "diggcount", "videodiggcount", "hearts", "like", "likescount"),
    "comments": ("comments", "commentcount", "videocommentcount", "commentscount", "comment", "replies"),
    "shares": ("shares", "sharecount", "videosharecount", "share", "repostcount", "sharescount"),
    "saves": ("saves", "savecount", "collectcount", "favorites", "favourites", "bookmarks", "savescount"),
    "author_followers": (
        *(
            "authorfollowers",
            "followers",
            "followercount",
            "authorfollowercount",
            "channelfollowercount",
            "subscribers",
        ),
        "subscribercount",
    ),
    "page_url": ("pageurl", "webvideourl", "videourl", "posturl", "tiktokurl", "permalink", "shareurl", "url", "link"),
    "video_uri": ("videouri", "videofile", "filename", "filepath", "file"),
}
"""Column of a post → common names, the clearest first."""
